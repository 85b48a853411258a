/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_config.h - reads the pool file of README.md and makes what it
 * describes.
 */
#ifndef CAIRN_SIM_CONFIG_H
#define CAIRN_SIM_CONFIG_H

#include "base/json.h"
#include "tests/sim/sim_pool.h"

/* Fill in *sim and make pools, disks and certificates; with `dry`, only look
 * at the file. */
enum err_code sim_config_load(struct sim *sim, const char *path, bool dry,
                              struct err *err);

/* Only the words in `keys` (" a b c ") may be members of j. */
enum err_code sim_config_keys(const struct json *j, const char *keys,
                              const char *what, struct err *err);

/* A number, or a text like "64 MiB". */
enum err_code sim_config_size(const struct json *j, uint64_t otherwise,
                              const char *what, uint64_t *out, struct err *err);

/* The uuid given as "uuid", else one derived from pool, class and name. */
void sim_config_uuid(const struct sim_pool *pool, const struct json *j,
                     const char *cls, const char *name, char out[37]);

/* Copy "tags" (array) and maps of texts into fields of an object. */
void sim_config_set(struct sim_pool *pool, struct sim_object *o,
                    const struct json *j, const char *key);
/* The same of any field, with a value of any kind. */
enum err_code sim_config_field(struct sim_pool *pool, struct sim_object *o,
                               const char *field, const struct json *value,
                               struct err *err);

#endif
