/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/banned.h - calls that this project does without; included before every
 * file by the build. Identifiers are poisoned after the system headers that
 * declare them.
 */
#ifndef CAIRN_BASE_BANNED_H
#define CAIRN_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol atoll \
    strncpy strncat asctime ctime gmtime localtime

#endif
