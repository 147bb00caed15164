"""Run firmware in Unicorn, and estimate cycles from instruction timings."""
