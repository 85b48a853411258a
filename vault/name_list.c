/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/name_list.h"

#include <stdlib.h>
#include <string.h>

bool name_list_add(struct name_list *l, const char *name)
{
    size_t len = strlen(name);

    if (len >= NAME_TEXT)
        return false;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        char(*more)[NAME_TEXT] = realloc(l->name, room * sizeof(*more));

        if (!more)
            return false;
        l->name = more;
        l->room = room;
    }
    memcpy(l->name[l->count++], name, len + 1);
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

bool name_list_has(const struct name_list *l, const char *name)
{
    return l->count &&
           bsearch(name, l->name, l->count, sizeof(*l->name), compare);
}

void name_list_fini(struct name_list *l)
{
    free(l->name);
    l->name = NULL;
    l->count = l->next = l->room = 0;
}
