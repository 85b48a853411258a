/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `format`, parsed, and read alone.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "vault/vault.h"
#include "vault/vault_open.h"

enum err_code vault_open_hint_parse(const void *text, size_t len,
                                    struct vault_open_hint *out,
                                    struct err *err)
{
    struct vault_open_hint hint = {0};
    struct json *doc = NULL;
    int64_t format, suite;
    enum err_code rc;

    rc = json_parse(text, len, &doc, err);
    if (rc == ERR_PROTOCOL)
        return err_set(err, ERR_INTEGRITY, 0, "format: %s", err->text);
    if (rc != ERR_OK)
        return rc;
    format = json_int(json_get(doc, "format"), -1);
    suite = json_int(json_get(doc, "suite"), -1);
    if (format < 1 || suite < 1 ||
        !parse_id16(json_text(json_get(doc, "vault"), ""), &hint.vault_id))
        rc = err_set(err, ERR_INTEGRITY, 0, "format: not such a document");
    else if (format != VAULT_FORMAT)
        rc = err_set(err, ERR_PROTOCOL, 0,
                     "the vault is of format %jd; this program knows format %d",
                     (intmax_t)format, VAULT_FORMAT);
    else if (suite != 1)
        rc = err_set(err, ERR_PROTOCOL, 0,
                     "the vault is of suite %jd; this program knows suite 1",
                     (intmax_t)suite);
    if (rc == ERR_OK) {
        hint.format = (unsigned)format;
        clock_parse_rfc3339(json_text(json_get(doc, "created"), ""),
                            &hint.created_ms);
        *out = hint;
    }
    json_free(doc);
    return rc;
}

struct hint_read {
    void (*done)(void *ctx, const struct err *err,
                 const struct vault_open_hint *hint);
    void *ctx;
    char location[256];
};

static void on_hint_alone(void *ctx, const struct err *err, const uint8_t *data,
                          size_t len, const struct store_info *info)
{
    struct hint_read *h = ctx;
    struct vault_open_hint hint;
    struct err why = *err;

    (void)info;
    if (why.code == ERR_NOT_FOUND)
        err_set(&why, ERR_NOT_FOUND, 0, "%s: no vault lies there", h->location);
    else if (why.code == ERR_OK &&
             vault_open_hint_parse(data, len, &hint, &why) != ERR_OK)
        err_context(&why, "%s", h->location);
    h->done(h->ctx, &why, why.code == ERR_OK ? &hint : NULL);
    free(h);
}

enum err_code
vault_open_hint_start(struct store *store,
                      void (*done)(void *ctx, const struct err *err,
                                   const struct vault_open_hint *hint),
                      void *ctx, struct err *err)
{
    struct hint_read *h = calloc(1, sizeof(*h));

    if (!h)
        return err_set(err, ERR_NOMEM, 0, "format");
    h->done = done;
    h->ctx = ctx;
    snprintf(h->location, sizeof(h->location), "%s", store->location);
    if (store_fetch(store, "format", VAULT_OPEN_HINT_MAX, (struct store_range){0},
                    on_hint_alone, h, NULL, err) != ERR_OK) {
        free(h);
        return err->code;
    }
    return ERR_OK;
}
