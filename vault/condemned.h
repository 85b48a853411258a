/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/condemned.h - which (pack, slot) any list names: condemned for ever,
 * in every generation (format.md 6).
 *
 * It only grows. One thread at a time.
 */
#ifndef CAIRN_VAULT_CONDEMNED_H
#define CAIRN_VAULT_CONDEMNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct condemned;

struct condemned *condemned_new(void); /* NULL: out of memory */
void condemned_free(struct condemned *c);

/* count 0: the whole pack. ERR_NOMEM: nothing was added. */
enum err_code condemned_add(struct condemned *c, const struct id16 *pack,
                            uint32_t first, uint32_t count, struct err *err);

bool condemned_has(const struct condemned *c, const struct id16 *pack,
                   uint32_t slot);

/* The first run of condemned slots among [first, first + count): true. */
bool condemned_hits(const struct condemned *c, const struct id16 *pack,
                    uint32_t first, uint32_t count, uint32_t *hit_first,
                    uint32_t *hit_count);

/* Packs named so far; 0: nothing is condemned. */
size_t condemned_packs(const struct condemned *c);

#endif
