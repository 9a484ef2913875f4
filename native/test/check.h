// Checks of the plain test programs: a failure says where and what, and ends the program with status 1.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <iostream>

#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                      \
    }                                                                                    \
  } while (false)

#define CHECK_EQ(actual, expected)                                                                                \
  do {                                                                                                            \
    const auto checkActual = (actual);                                                                            \
    const auto checkExpected = (expected);                                                                        \
    if (!(checkActual == checkExpected)) {                                                                        \
      std::cerr << __FILE__ << ":" << __LINE__ << ": CHECK_EQ(" #actual ", " #expected ")\n  is " << +checkActual \
                << ", not " << +checkExpected << "\n";                                                            \
      std::exit(1);                                                                                               \
    }                                                                                                             \
  } while (false)
