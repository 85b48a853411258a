/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the control API, through its server, over a catalog in memory and
 * a backend that answers. The first byte says which route, the second who asks;
 * then come lines: what stands for the {..} of the path (words), the query, and
 * all the rest is the body. Answers are what docs/api.md allows, JSON, and tell
 * a tenant nothing of the other one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/api_route.h"
#include "tests/unit/api_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUNDS 500 /* of one world; then it is made anew */
#define PATH_MAX_BYTES 400

static struct api_rig_world *world;
static unsigned rounds;
static bool said; /* the other one's name, to this world: it is in its audit */

static void need(bool good)
{
    if (!good)
        abort();
}

static void renew(void)
{
    void *state = world;

    if (world)
        api_rig_teardown(&state);
    api_rig_setup(&state);
    world = state;
    world->rig.defaults = true;
    api_rig_point(&world->rig, world->acme_vault, RIG_POINT, RIG_VM_1,
                  "acme-web", true);
    rounds = 0;
    said = false;
}

static void leave(void)
{
    void *state = world;

    api_rig_teardown(&state);
}

/* Percent-encoded, but for what `plain` has. */
static void put(char *out, size_t *at, const char *text, size_t len,
                const char *plain)
{
    for (size_t i = 0; i < len && *at + 4 < PATH_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c > ' ' && c < 0x7f && strchr(plain, c))
            out[(*at)++] = (char)c;
        else
            *at += (size_t)snprintf(out + *at, 4, "%%%02x", c);
    }
    out[*at] = 0;
}

#define LETTERS \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"

static void put_path(char *out, size_t *at, const char *pattern, char *words)
{
    while (*pattern) {
        size_t n = strcspn(pattern, "{");
        char *word = words;

        put(out, at, pattern, n, LETTERS "/");
        pattern += n;
        if (!*pattern)
            break;
        pattern = strchr(pattern, '}') + 1;
        words += strcspn(words, " ");
        if (*words)
            *words++ = 0;
        put(out, at, word, strlen(word), LETTERS);
    }
}

/* The next line, cut off. */
static char *take_line(char **rest)
{
    char *line = *rest;

    *rest += strcspn(line, "\n");
    if (**rest)
        *(*rest)++ = 0;
    return line;
}

static void check(const struct api_rig *r, int status, bool foreign)
{
    static const int allowed[] = {200, 201, 202, 204, 400, 401, 403,
                                  404, 405, 409, 413, 415, 422, 503};
    char *text = r->answer ? json_dump(r->answer, false, NULL) : NULL;
    bool found = false;

    for (size_t i = 0; i < BYTES_COUNT(allowed); i++)
        found = found || allowed[i] == status;
    need(found);
    need(status == 204 || text);
    need(!foreign || !text || !strstr(text, "globex"));
    for (const char *p = text; p && *p; p++)
        need((unsigned char)*p >= 0x20);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct api_route *route;
    char path[PATH_MAX_BYTES + 8] = "", *text, *rest, *words, *query;
    bool tenant, body;
    size_t at = 0;
    int status;

    if (size < 2 || size > 8000)
        return 0;
    if (!world)
        atexit(leave);
    if (!world || ++rounds > ROUNDS)
        renew();
    route = &api_route_table[data[0] % api_route_count];
    tenant = data[1] % 2;
    text = malloc(size + 1);
    need(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    rest = text + 2;
    body = route->field_count > 0 || data[1] & 2;
    words = take_line(&rest);
    query = take_line(&rest);
    put_path(path, &at, route->path, words);
    if (*query) {
        path[at++] = '?';
        put(path, &at, query, strlen(query), LETTERS "=&%+");
    }
    if (strstr(path, "wait") || strstr(path, "%77"))
        goto out; /* it would */
    status = api_rig_ask(&world->rig, route->method, path,
                         tenant ? world->acme_token : NULL, body ? rest : NULL);
    said = said || memmem(data, size, "glo", 3) ||
           memmem(data, size, "\\u", 2) || strchr(query, '%');
    check(&world->rig, status, tenant && !said);
out:
    free(text);
    return 0;
}
