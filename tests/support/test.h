/* What every unit test includes: cmocka with its prerequisites in the right order. */
#ifndef CHRONIK_TESTS_SUPPORT_TEST_H
#define CHRONIK_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
