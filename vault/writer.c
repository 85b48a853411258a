/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/writer.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
    [WRITER_RECOVERY] = "recovery",
    [WRITER_GATEWAY] = "gateway",
    [WRITER_PERSON] = "person",
};

enum err_code writer_new(struct keyring *keys, struct writer **out,
                         struct err *err)
{
    struct writer *w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(err, ERR_NOMEM, 0, "writer");
    w->keys = keyring_ref(keys);
    *out = w;
    return ERR_OK;
}

void writer_free(struct writer *w)
{
    if (w)
        keyring_unref(w->keys);
    free(w);
}

enum err_code writer_add(struct writer *w, const uint8_t public_key[32],
                         enum writer_recipient_kind kind, struct err *err)
{
    for (size_t i = 0; i < w->recipients; i++)
        if (memcmp(w->recipient[i].public, public_key, 32) == 0)
            return ERR_OK;
    if (w->recipients == WRITER_RECIPIENTS_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "a vault has at most %d recipients",
                       WRITER_RECIPIENTS_MAX);
    memcpy(w->recipient[w->recipients].public, public_key, 32);
    w->recipient[w->recipients].kind = kind;
    w->recipients++;
    return ERR_OK;
}

enum err_code writer_join(struct writer *w, const struct writer *from,
                          struct err *err)
{
    size_t added = 0;

    if (!id16_equal(keyring_vault_id(w->keys), keyring_vault_id(from->keys)))
        return err_set(err, ERR_KEY, 0, "the keys are of another vault");
    if (keyring_join(w->keys, from->keys, &added, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < from->recipients; i++)
        if (writer_add(w, from->recipient[i].public, from->recipient[i].kind,
                       err) != ERR_OK)
            return err->code;
    return ERR_OK;
}

/* --- as text -------------------------------------------------------------- */

static void print_keys(const struct keyring *keys, enum seal_key_role role,
                       struct buf *out)
{
    const char *word = role == SEAL_KEY_META ? "mk" : "dk";
    const struct keyring_key *current = keyring_current(keys, role);

    for (size_t i = 0; i < keyring_count(keys, role); i++) {
        const struct keyring_key *key = keyring_at(keys, role, i);
        char hex[65];

        bytes_hex(key->secret.b, 32, hex);
        buf_addf(out, "%s %s%s\n", word, hex, key == current ? " current" : "");
        bytes_wipe(hex, sizeof(hex));
    }
}

enum err_code writer_print(const struct writer *w, struct buf *out,
                           struct err *err)
{
    char hex[65];

    bytes_hex(keyring_vault_id(w->keys)->b, 16, hex);
    buf_addf(out, "cairn writer 1\nvault %s\n", hex);
    bytes_hex(keyring_rs(w->keys)->b, 32, hex);
    buf_addf(out, "rs %s\n", hex);
    print_keys(w->keys, SEAL_KEY_META, out);
    print_keys(w->keys, SEAL_KEY_DATA, out);
    for (size_t i = 0; i < w->recipients; i++) {
        bytes_hex(w->recipient[i].public, 32, hex);
        buf_addf(out, "recipient %s %s\n", hex, kinds[w->recipient[i].kind]);
    }
    bytes_wipe(hex, sizeof(hex));
    return buf_failed(out) ? err_set(err, ERR_NOMEM, 0, "writer") : ERR_OK;
}

/* What is being read. Lines come in the order of writer_print(). */
struct parser {
    const char *at, *end;
    char line[256];
    struct writer *w;
};

/* The next line; false at the end, or when it is no line of ours. */
static bool next_line(struct parser *p)
{
    const char *stop =
        p->at < p->end ? memchr(p->at, '\n', (size_t)(p->end - p->at)) : NULL;
    size_t len = stop ? (size_t)(stop - p->at) : 0;

    if (!stop || len >= sizeof(p->line) || memchr(p->at, 0, len))
        return false;
    memcpy(p->line, p->at, len);
    p->line[len] = 0;
    p->at = stop + 1;
    return true;
}

/* "<word> <64 hex>[ <rest>]"; rest is NULL without one. */
static bool take_hex(char *line, const char *word, uint8_t out[32],
                     const char **rest)
{
    size_t len = strlen(word);
    char *hex = line + len + 1;

    if (strncmp(line, word, len) != 0 || line[len] != ' ' || strlen(hex) < 64)
        return false;
    *rest = NULL;
    if (hex[64] == ' ') {
        *rest = hex + 65;
        hex[64] = 0;
    }
    return bytes_unhex(hex, out, 32);
}

static bool take_head(struct parser *p, const struct seal_suite *suite,
                      struct err *err)
{
    struct keyring *keys = NULL;
    struct seal_key rs = {{0}};
    struct id16 vault_id;
    const char *rest;
    bool good;

    good = next_line(p) && strcmp(p->line, "cairn writer 1") == 0 &&
           next_line(p) && strncmp(p->line, "vault ", 6) == 0 &&
           bytes_unhex(p->line + 6, vault_id.b, 16) && next_line(p) &&
           take_hex(p->line, "rs", rs.b, &rest) && !rest &&
           keyring_new(suite, &rs, &keys, err) == ERR_OK &&
           id16_equal(keyring_vault_id(keys), &vault_id) &&
           writer_new(keys, &p->w, err) == ERR_OK;
    keyring_unref(keys); /* the writer has its own reference */
    seal_key_fini(&rs);
    return good;
}

static bool take_key(struct parser *p, enum seal_key_role role, struct err *err)
{
    struct seal_key secret = {{0}};
    const char *rest;
    bool good;

    good = take_hex(p->line, role == SEAL_KEY_META ? "mk" : "dk", secret.b,
                    &rest) &&
           (!rest || strcmp(rest, "current") == 0) &&
           (!rest || !keyring_current(p->w->keys, role)) &&
           keyring_add(p->w->keys, role, &secret, rest != NULL, err) == ERR_OK;
    seal_key_fini(&secret);
    return good;
}

static bool take_recipient(struct parser *p, struct err *err)
{
    uint8_t public[32];
    const char *rest;

    if (!take_hex(p->line, "recipient", public, &rest) || !rest)
        return false;
    for (unsigned kind = 0; kind < BYTES_COUNT(kinds); kind++)
        if (strcmp(rest, kinds[kind]) == 0)
            return writer_add(p->w, public, (enum writer_recipient_kind)kind,
                              err) == ERR_OK;
    return false;
}

enum err_code writer_parse(const struct seal_suite *suite, const void *text,
                           size_t len, struct writer **out, struct err *err)
{
    struct parser p = {.at = text};
    struct err why = {0};
    bool good;

    p.end = p.at + len;
    good = take_head(&p, suite, &why);
    while (good && p.at < p.end)
        good = next_line(&p) &&
               (take_key(&p, SEAL_KEY_META, &why) ||
                take_key(&p, SEAL_KEY_DATA, &why) || take_recipient(&p, &why));
    bytes_wipe(p.line, sizeof(p.line));
    if (good) {
        *out = p.w;
        return ERR_OK;
    }
    writer_free(p.w);
    if (why.code == ERR_NOMEM)
        return err_set(err, ERR_NOMEM, 0, "writer");
    return err_set(err, ERR_KEY, 0, "the writer's state cannot be read");
}
