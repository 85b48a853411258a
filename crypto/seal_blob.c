/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_blob.h"

#include <string.h>

#include "crypto/seal_cipher.h"
#include "crypto/seal_internal.h"

#define HEADER 48
#define HEAD 80 /* header and commitment */

enum { AT_VERSION = 8, AT_SUITE = 9, AT_ZERO = 10, AT_SALT = 16, AT_REST = 32 };

static const uint8_t magic[8] = "CAIRNBLB";
static const uint8_t nonce[SEAL_CIPHER_NONCE];

static enum err_code derive(const struct seal_blob_opts *opts,
                            const uint8_t header[HEADER], struct seal_key *key,
                            uint8_t commitment[32], struct err *err)
{
    uint8_t info[SEAL_LABEL + HEADER + SEAL_BLOB_CONTEXT_MAX];
    size_t len = strlen(opts->context);
    uint8_t okm[64];
    enum err_code rc;

    if (len > SEAL_BLOB_CONTEXT_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "sealed secret: context too long");
    seal_internal_label(info, "cairn blob 1");
    memcpy(info + SEAL_LABEL, header, HEADER);
    memcpy(info + SEAL_LABEL + HEADER, opts->context, len);
    rc = seal_key_hkdf(opts->suite, (struct slice){opts->gateway_key->b, 32},
                       (struct slice){header + AT_SALT, 16},
                       (struct slice){info, SEAL_LABEL + HEADER + len}, okm,
                       sizeof(okm), err);
    memcpy(key->b, okm, 32);
    memcpy(commitment, okm + 32, 32);
    bytes_wipe(okm, sizeof(okm));
    return rc;
}

enum err_code seal_blob_seal(const struct seal_blob_opts *opts,
                             const void *plain, size_t len, struct buf *out,
                             struct err *err)
{
    struct seal_cipher *cipher = seal_cipher_new(opts->suite);
    uint8_t head[HEAD] = {0};
    struct seal_key key = {0};
    uint8_t *at = NULL;
    enum err_code rc = ERR_OK;

    memcpy(head, magic, sizeof(magic));
    head[AT_VERSION] = SEAL_VERSION;
    head[AT_SUITE] = SEAL_SUITE;
    if (opts->salt)
        memcpy(head + AT_SALT, opts->salt, 16);
    else
        rc = seal_key_random(head + AT_SALT, 16, err);
    if (rc == ERR_OK)
        rc = derive(opts, head, &key, head + HEADER, err);
    if (rc != ERR_OK)
        goto out;
    if (buf_add(out, head, sizeof(head)))
        at = buf_extend(out, len + SEAL_CIPHER_TAG);
    if (!cipher || !at ||
        !seal_cipher_seal(cipher, &key, nonce, (struct slice){NULL, 0},
                          (struct slice){plain, len}, at))
        rc = err_set(err, ERR_NOMEM, 0, "sealed secret");
out:
    seal_key_fini(&key);
    seal_cipher_free(cipher);
    return rc;
}

enum err_code seal_blob_open(const struct seal_blob_opts *opts,
                             const void *sealed, size_t len, struct buf *out,
                             struct err *err)
{
    const uint8_t *head = sealed;
    struct seal_cipher *cipher = NULL;
    struct seal_key key = {0};
    uint8_t commitment[32];
    size_t before = out->len, plain;
    uint8_t *at;
    enum err_code rc;

    if (len < SEAL_BLOB_OVERHEAD || memcmp(head, magic, sizeof(magic)) != 0 ||
        head[AT_VERSION] != SEAL_VERSION || head[AT_SUITE] != SEAL_SUITE ||
        !bytes_all_zero(head + AT_ZERO, AT_SALT - AT_ZERO) ||
        !bytes_all_zero(head + AT_REST, HEADER - AT_REST))
        return err_set(err, ERR_INTEGRITY, 0, "no sealed secret");
    plain = len - SEAL_BLOB_OVERHEAD;
    rc = derive(opts, head, &key, commitment, err);
    if (rc != ERR_OK)
        goto out;
    if (!bytes_equal_ct(commitment, head + HEADER, sizeof(commitment))) {
        rc = err_set(err, ERR_KEY, 0,
                     "sealed secret: of another gateway key or another place");
        goto out;
    }
    cipher = seal_cipher_new(opts->suite);
    at = buf_extend(out, plain);
    if (!cipher || !at) {
        rc = err_set(err, ERR_NOMEM, 0, "sealed secret");
    } else if (!seal_cipher_open(cipher, &key, nonce, (struct slice){NULL, 0},
                                 (struct slice){head + HEAD, len - HEAD}, at)) {
        bytes_wipe(at, plain);
        rc = err_set(err, ERR_INTEGRITY, 0, "sealed secret: damaged");
    }
    if (rc != ERR_OK)
        out->len = before;
out:
    seal_key_fini(&key);
    seal_cipher_free(cipher);
    return rc;
}
