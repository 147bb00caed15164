# Gives `variable` the Kconfig fragments of this build: that of the mode, those for the version of
# Zephyr, and those that were given when the application was created. Needs only ZEPHYR_BASE, so that
# `cmake -P` can run it.

# The version of a Zephyr tree, as MAJOR.MINOR.
function(tvmtiny_zephyr_version variable base)
  if(base STREQUAL "")
    message(FATAL_ERROR "ZEPHYR_BASE is not set: build with west, or set it to the Zephyr tree")
  endif()
  if(NOT EXISTS ${base}/VERSION)
    message(FATAL_ERROR "ZEPHYR_BASE is '${base}', which is not a Zephyr tree: it has no VERSION")
  endif()
  file(READ ${base}/VERSION text)
  string(REGEX MATCH "VERSION_MAJOR *= *([0-9]+)" _ "${text}")
  set(major ${CMAKE_MATCH_1})
  string(REGEX MATCH "VERSION_MINOR *= *([0-9]+)" _ "${text}")
  set(${variable} ${major}.${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

# conf/from-A.B.conf is for Zephyr A.B and newer, conf/before-A.B.conf for older ones.
function(tvmtiny_fragments variable root mode version)
  if(NOT EXISTS ${root}/conf/${mode}.conf)
    message(FATAL_ERROR "TVMTINY_MODE is '${mode}'; it can be standalone, rpc or shell")
  endif()
  set(found ${root}/conf/${mode}.conf)
  file(GLOB candidates ${root}/conf/from-*.conf ${root}/conf/before-*.conf)
  foreach(file ${candidates})
    if(file MATCHES "/from-([0-9.]+)\\.conf$" AND version VERSION_GREATER_EQUAL CMAKE_MATCH_1)
      list(APPEND found ${file})
    elseif(file MATCHES "/before-([0-9.]+)\\.conf$" AND version VERSION_LESS CMAKE_MATCH_1)
      list(APPEND found ${file})
    endif()
  endforeach()
  file(GLOB user ${root}/conf/user/*.conf)
  list(APPEND found ${user})
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# Appends to a variable that Zephyr looks up in the cache and the environment before the caller's
# scope, where it would not be seen if the user has set it, too. `root` is where the values are from,
# so that those of an earlier run can be told.
function(tvmtiny_append variable root)
  set(values "${${variable}}")
  if(values STREQUAL "" AND DEFINED ENV{${variable}})
    set(values "$ENV{${variable}}")
  endif()
  string(REPLACE " " ";" values "${values}")
  foreach(value ${values})
    string(FIND "${value}/" "${root}/" position)
    if(position EQUAL 0)
      list(REMOVE_ITEM values "${value}")
    endif()
  endforeach()
  list(APPEND values ${ARGN})
  if(DEFINED CACHE{${variable}} OR DEFINED ENV{${variable}})
    set(${variable} "${values}" CACHE STRING "With those of the application" FORCE)
  endif()
  set(${variable} "${values}" PARENT_SCOPE)
endfunction()
