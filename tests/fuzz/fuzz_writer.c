/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that vault/ reads: a writer's state, an identity, `format`. The first
 * byte says which. What is taken says the same when it is written.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vault/identity.h"
#include "vault/vault_open.h"
#include "vault/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct seal_suite *suite;

static void need(bool good)
{
    if (!good)
        abort();
}

static void writer(const uint8_t *data, size_t size)
{
    struct writer *w = NULL, *again = NULL;
    struct buf text;
    struct err err;

    if (writer_parse(suite, data, size, &w, &err) != ERR_OK)
        return;
    buf_init_secret(&text, WRITER_TEXT_MAX);
    need(writer_print(w, &text, &err) == ERR_OK);
    need(writer_parse(suite, text.data, text.len, &again, &err) == ERR_OK);
    need(again->recipients == w->recipients);
    for (int role = 0; role < 2; role++)
        need(keyring_count(again->keys, (enum seal_key_role)role) ==
             keyring_count(w->keys, (enum seal_key_role)role));
    buf_fini(&text);
    writer_free(w);
    writer_free(again);
}

static void identity(const uint8_t *data, size_t size)
{
    struct identity id;
    struct buf text;
    struct err err;

    if (identity_parse(data, size, &id, &err) != ERR_OK)
        return;
    buf_init_secret(&text, 4096);
    need(identity_print(&id, &text, &err) == ERR_OK);
    need(text.len == size && memcmp(text.data, data, size) == 0);
    buf_fini(&text);
}

static void hint(const uint8_t *data, size_t size)
{
    struct vault_open_hint h;
    struct err err;

    if (vault_open_hint_parse(data, size, &h, &err) == ERR_OK)
        need(h.format == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const uint8_t *, size_t) = {writer, identity,
                                                               hint};
    struct err err;

    if (!size)
        return 0;
    if (!suite)
        need(seal_suite_new(&suite, &err) == ERR_OK);
    parsers[data[0] % BYTES_COUNT(parsers)](data + 1, size - 1);
    return 0;
}
