/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/identity.h"

#include <string.h>

static const char head[] = "cairn identity 1\nvault ";
static const char middle[] = "\nprivate ";

/* "cairn identity 1\nvault <32>\nprivate <64>\n" */
enum {
    HEAD = sizeof(head) - 1,
    MIDDLE = sizeof(middle) - 1,
    TEXT = HEAD + 32 + MIDDLE + 64 + 1,
};

enum err_code identity_new(const struct id16 *vault_id, struct identity *out,
                           struct err *err)
{
    enum err_code rc = seal_pair_new(&out->pair, err);

    if (rc == ERR_OK)
        out->vault_id = *vault_id;
    return rc;
}

void identity_fini(struct identity *id)
{
    bytes_wipe(id, sizeof(*id));
}

enum err_code identity_print(const struct identity *id, struct buf *out,
                             struct err *err)
{
    char hex[65];

    bytes_hex(id->vault_id.b, 16, hex);
    buf_addf(out, "%s%s%s", head, hex, middle);
    bytes_hex(id->pair.private.b, 32, hex);
    buf_addf(out, "%s\n", hex);
    bytes_wipe(hex, sizeof(hex));
    return buf_failed(out) ? err_set(err, ERR_NOMEM, 0, "identity") : ERR_OK;
}

enum err_code identity_parse(const void *text, size_t len, struct identity *out,
                             struct err *err)
{
    struct seal_key private_key = {{0}};
    struct id16 vault_id;
    char copy[TEXT];
    enum err_code rc;
    bool good;

    if (len != TEXT)
        return err_set(err, ERR_KEY, 0, "no gateway identity");
    memcpy(copy, text, TEXT);
    good = memcmp(copy, head, HEAD) == 0 &&
           memcmp(copy + HEAD + 32, middle, MIDDLE) == 0 &&
           copy[TEXT - 1] == '\n';
    copy[HEAD + 32] = copy[TEXT - 1] = 0; /* unhex wants the end of the text */
    good = good && bytes_unhex(copy + HEAD, vault_id.b, 16) &&
           bytes_unhex(copy + HEAD + 32 + MIDDLE, private_key.b, 32);
    if (good)
        rc = seal_pair_from(&private_key, &out->pair, err);
    else
        rc = err_set(err, ERR_KEY, 0, "no gateway identity");
    if (rc == ERR_OK)
        out->vault_id = vault_id;
    bytes_wipe(copy, sizeof(copy));
    seal_key_fini(&private_key);
    return rc;
}

void identity_public_text(const uint8_t public_key[32],
                          char out[IDENTITY_PUBLIC_TEXT])
{
    bytes_hex(public_key, 32, out);
}

enum err_code identity_public_parse(const char *text, uint8_t out[32],
                                    struct err *err)
{
    uint8_t key[32];

    if (!bytes_unhex(text, key, sizeof(key)))
        return err_set(err, ERR_ARGUMENT, 0,
                       "a public key is 64 small hex digits");
    memcpy(out, key, sizeof(key));
    return ERR_OK;
}
