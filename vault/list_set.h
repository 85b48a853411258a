/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/list_set.h - what all lists of a vault that were read decide together.
 *
 * It never forgets a list, so that reading again fetches only what is new
 * (vault/list_read.h). One thread at a time.
 */
#ifndef CAIRN_VAULT_LIST_SET_H
#define CAIRN_VAULT_LIST_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vault/condemned.h"
#include "vault/keyring.h"
#include "vault/list.h"

struct list_set;

struct list_set *list_set_new(void); /* NULL: out of memory */
void list_set_free(struct list_set *set);

const struct condemned *list_set_condemned(const struct list_set *set);
/* Lists taken in; and the greatest time in any list's name (0: none). */
size_t list_set_count(const struct list_set *set);
uint64_t list_set_latest_ms(const struct list_set *set);

enum list_verdict {
    LIST_SAYS_NOTHING,
    LIST_SAYS_REMOVED,  /* no longer shown */
    LIST_SAYS_RESTORED, /* was removed, and taken back */
};

/* What the list whose name sorts last says of a point. *list_ms: the time in
 * its name; may be NULL. */
enum list_verdict list_set_point(const struct list_set *set, const char *point,
                                 uint64_t *list_ms);

/* Whether a list was taken in. */
bool list_set_has(const struct list_set *set, const char *name);

/* Take one list's object in (nothing happens if it was). ERR_INTEGRITY,
 * ERR_KEY, ERR_NOMEM: nothing changed. */
enum err_code list_set_add(struct list_set *set, const struct keyring *keys,
                           const char *name, const void *sealed, size_t len,
                           struct err *err);

#endif
