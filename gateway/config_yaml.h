/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/config_yaml.h - a flat YAML mapping of known keys to texts, with the
 * lines they stand on. Nothing is converted: YAML's ideas of numbers and truth
 * are not ours.
 */
#ifndef CAIRN_GATEWAY_CONFIG_YAML_H
#define CAIRN_GATEWAY_CONFIG_YAML_H

#include <stddef.h>

#include "base/err.h"

struct config_yaml {
    const char *text; /* borrowed */
    char **values;    /* by the order of the keys; NULL: not given */
    size_t count;
};

/*
 * Read the one document of a text. ERR_ARGUMENT: unknown or duplicate key,
 * something else than a text as value, a second document, no YAML; then *line
 * is where (0: unknown) and the caller puts it before the error's text.
 * ERR_NOMEM. An empty document gives no values.
 */
enum err_code config_yaml_read(const char *text, const char *const *keys,
                               size_t count, struct config_yaml *out,
                               unsigned *line, struct err *err);
void config_yaml_fini(struct config_yaml *y);

/* The line on which a key stands for the nth time, from 1; 0: not found (as
 * when several stand on one line). */
unsigned config_yaml_line(const struct config_yaml *y, const char *key,
                          unsigned nth);

#endif
