"""Firmware in Unicorn, and estimated cycles from instruction timings."""
