/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What crypto/ reads from stores and files: wraps, pack headers, streams, key
 * files, sealed secrets. The first byte says which. What is not made under our
 * keys never opens; a key file that is taken says the same when written.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/seal_blob.h"
#include "crypto/seal_keyfile.h"
#include "crypto/seal_slot.h"
#include "crypto/seal_stream.h"
#include "crypto/seal_wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct seal_suite *suite;
static const struct seal_key key = {{1, 2, 3}};

static void need(bool good)
{
    if (!good)
        abort();
}

static void wrap(const uint8_t *data, size_t size)
{
    struct seal_wrap_open_opts opts = {.suite = suite, .rs = &key};
    struct seal_wrap_info info;
    struct seal_pair pair;
    struct seal_key out;
    struct err err;

    if (seal_wrap_parse(data, size, &info, &err) != ERR_OK)
        return;
    need(size == SEAL_WRAP_BYTES);
    need((info.method == SEAL_WRAP_SCRYPT) == (info.what == SEAL_WRAP_PRIVATE));
    if (info.method == SEAL_WRAP_SCRYPT)
        return; /* opening it takes too long here */
    need(seal_pair_from(&key, &pair, &err) == ERR_OK);
    opts.pair = &pair;
    opts.key_id = info.key_id;
    need(seal_wrap_open(&opts, data, size, &out, NULL, &err) != ERR_OK);
}

static void header(const uint8_t *data, size_t size)
{
    struct id16 vault_id = {{4}};
    struct seal_slot_header h;
    struct seal_key k_pack;
    struct err err;

    if (size < SEAL_SLOT_HEADER)
        return;
    need(seal_slot_header_open(suite, &key, &vault_id, data, &h, &k_pack,
                               &err) != ERR_OK);
}

static void stream(const uint8_t *data, size_t size)
{
    struct seal_stream_opts opts = {.suite = suite,
                                    .kind = SEAL_STREAM_POINT,
                                    .key = &key,
                                    .name = "points/x"};
    struct buf out;
    struct err err;

    if (seal_stream_key_id(opts.kind, data, size, &opts.key_id, &err) != ERR_OK)
        return;
    buf_init(&out, 1 << 20);
    need(seal_stream_open(&opts, data, size, &out, &err) != ERR_OK);
    need(out.len == 0);
    buf_fini(&out);
}

static void keyfile(const uint8_t *data, size_t size)
{
    struct seal_keyfile file, again;
    struct buf text;
    struct err err;

    if (seal_keyfile_parse((const char *)data, size, &file, &err) != ERR_OK)
        return;
    buf_init_secret(&text, 4096);
    need(seal_keyfile_print(&file, &text, &err) == ERR_OK);
    need(seal_keyfile_parse((const char *)text.data, text.len, &again, &err) ==
         ERR_OK);
    need(again.is_private == file.is_private &&
         id16_equal(&again.vault_id, &file.vault_id) &&
         strcmp(again.passphrase, file.passphrase) == 0 &&
         memcmp(again.private.b, file.private.b, 32) == 0);
    buf_fini(&text);
}

static void blob(const uint8_t *data, size_t size)
{
    struct seal_blob_opts opts = {suite, &key, "here", NULL};
    struct buf out;
    struct err err;

    buf_init_secret(&out, 1 << 20);
    need(seal_blob_open(&opts, data, size, &out, &err) != ERR_OK);
    need(out.len == 0);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const uint8_t *, size_t) = {
        wrap, header, stream, keyfile, blob};
    struct err err;

    if (!size)
        return 0;
    if (!suite)
        need(seal_suite_new(&suite, &err) == ERR_OK);
    parsers[data[0] % BYTES_COUNT(parsers)](data + 1, size - 1);
    return 0;
}
