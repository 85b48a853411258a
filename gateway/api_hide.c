/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_hide.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"

#define TEXT_MAX ((size_t)64 * 1024)
#define INSTEAD "(host)"

static bool is_inner(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Does `word` stand at `at`, and is it no part of a longer one? */
static bool stands(const char *text, const char *at, const char *word)
{
    size_t len = strlen(word);

    if (len == 0 || strncmp(at, word, len) != 0)
        return false;
    return (at == text || !is_inner(at[-1])) && !is_inner(at[len]);
}

static bool is_behind(const char *text, const char *at, const char *word)
{
    size_t len = strlen(word);

    return (size_t)(at - text) >= len && strncmp(at - len, word, len) == 0;
}

/* The length of what must not be read here; 0: nothing. */
static size_t hidden(const struct api_hide *h, const struct catalog_job *job,
                     const char *text, const char *at)
{
    size_t longest = 0;

    if (stands(text, at, job->pool) &&
        (is_behind(text, at, "pool ") || is_behind(text, at, "pool '")))
        longest = strlen(job->pool);
    for (size_t i = 0; i < h->pool.host_count; i++) {
        const struct catalog_pool_host *host = &h->pool.hosts[i];
        const char *words[] = {host->address, host->dial, host->name,
                               host->uuid};

        for (size_t k = 0; k < BYTES_COUNT(words); k++)
            if (stands(text, at, words[k]) && strlen(words[k]) > longest)
                longest = strlen(words[k]);
    }
    return longest;
}

static void learn(struct api_hide *h, struct catalog *c, int64_t pool_id)
{
    struct err ignored;

    if (h->pool_id == pool_id)
        return;
    catalog_pool_fini(&h->pool);
    memset(&h->pool, 0, sizeof(h->pool));
    h->pool_id = pool_id;
    if (pool_id) /* one that was removed has no hosts to hide */
        catalog_pool_get_id(c, pool_id, &h->pool, &ignored);
}

const char *api_hide_text(struct api_hide *h, const struct authz_who *who,
                          struct catalog *c, const struct catalog_job *job,
                          const char *text)
{
    if (who->kind == AUTHZ_PROVIDER || !job->pool[0])
        return text;
    learn(h, c, job->pool_id);
    buf_fini(&h->text);
    buf_init(&h->text, TEXT_MAX);
    for (const char *at = text; *at;) {
        size_t len = hidden(h, job, text, at);

        if (len)
            buf_add_text(&h->text, INSTEAD);
        else
            buf_add(&h->text, at, 1);
        at += len ? len : 1;
    }
    return h->text.len ? buf_text(&h->text) : buf_failed(&h->text) ? NULL : "";
}

void api_hide_fini(struct api_hide *h)
{
    catalog_pool_fini(&h->pool);
    buf_fini(&h->text);
    memset(h, 0, sizeof(*h));
}
