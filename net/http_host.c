/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_host.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http_host *http_host_get(struct http_host **all, const char *place)
{
    struct http_host *h = *all;

    while (h && strcasecmp(h->place, place) != 0)
        h = h->next;
    if (h)
        return h;
    h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->place = strdup(place);
    if (!h->place) {
        free(h);
        return NULL;
    }
    h->next = *all;
    *all = h;
    return h;
}

void http_host_drop(struct http_host **all, struct http_host *h)
{
    if (h->running > 0 || h->waiting.head)
        return;
    while (*all != h)
        all = &(*all)->next;
    *all = h->next;
    free(h->place);
    free(h);
}
