/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/name_list.h - a growing list of object names. A zeroed one is empty.
 * One thread at a time.
 */
#ifndef CAIRN_VAULT_NAME_LIST_H
#define CAIRN_VAULT_NAME_LIST_H

#include "vault/name.h"

struct name_list {
    char (*name)[NAME_TEXT];
    size_t count;
    size_t next; /* the user's: how far it has got */
    size_t room;
};

/* False: out of memory, or longer than any name of ours. */
bool name_list_add(struct name_list *l, const char *name);

/* Of a list whose names were added in rising order. */
bool name_list_has(const struct name_list *l, const char *name);

void name_list_fini(struct name_list *l);

#endif
