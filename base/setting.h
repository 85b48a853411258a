/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/setting.h - a table row per setting: one truth for the configuration
 * file, the command line, defaults, bounds, --help and the manual.
 */
#ifndef CAIRN_BASE_SETTING_H
#define CAIRN_BASE_SETTING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum setting_type {
    SETTING_TEXT,     /* char * member, owned, replaced; bounds: length */
    SETTING_SIZE,     /* uint64_t, bytes */
    SETTING_NUMBER,   /* uint64_t */
    SETTING_DURATION, /* uint64_t, milliseconds */
    SETTING_BOOL,     /* bool */
};

struct setting {
    const char *key;
    enum setting_type type;
    size_t offset; /* of the member in the struct that is filled */
    uint64_t min, max;
    const char *otherwise; /* default, as text; NULL: required */
    const char *help;
};

/* Fill in all defaults. ERR_NOMEM. */
enum err_code setting_defaults(const struct setting *rows, size_t n, void *into,
                               struct err *err);

/* Set one. ERR_ARGUMENT ("memory: wanted a size from 64 MiB to 1 TiB, got
 * 'x'"), ERR_NOT_FOUND (no such key), ERR_NOMEM. */
enum err_code setting_set(const struct setting *rows, size_t n, void *into,
                          const char *key, const char *text, struct err *err);

/* Give the texts back. */
void setting_fini(const struct setting *rows, size_t n, void *into);

/* One line per row, for --help; options with "--" before the key when
 * as_options. */
void setting_help(const struct setting *rows, size_t n, int as_options,
                  FILE *out);

#endif
