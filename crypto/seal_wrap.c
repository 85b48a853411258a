/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_wrap.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/seal_cipher.h"
#include "crypto/seal_internal.h"

#define LOG2_N_MIN 15
#define LOG2_N_MAX 20
#define SCRYPT_R 8

/* Where the fields of a wrap lie. */
enum {
    AT_VERSION = 8,
    AT_SUITE = 9,
    AT_METHOD = 10,
    AT_LOG2_N = 11,
    AT_WHAT = 12,
    AT_ZERO = 13,
    AT_KEY_ID = 16,
    AT_SALT = 32,
    AT_EPHEMERAL = 48,
    AT_COMMITMENT = 80,
    AT_BOX = 112,
};

static const uint8_t magic[8] = "CAIRNKEY";

/* What encrypts the box, and what proves that it is the right one. */
struct wrap_keys {
    struct seal_key key;
    uint8_t commitment[32];
};

enum err_code seal_wrap_scrypt(const struct seal_suite *suite,
                               struct slice passphrase, struct slice salt,
                               unsigned log2_n, unsigned r, unsigned p,
                               void *out, size_t out_len, struct err *err)
{
    uint64_t n = (uint64_t)1 << log2_n;
    uint32_t r32 = r, p32 = p;
    /* What it takes by RFC 7914, and the library's own overhead. */
    uint64_t most = 128 * n * r + 128 * (uint64_t)r * p + 32 * KIB * r + MIB;
    EVP_KDF_CTX *ctx;
    OSSL_PARAM params[7];
    int ok;

    if (log2_n < 1 || log2_n > LOG2_N_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "scrypt: log2 N = %u", log2_n);
    params[0] = OSSL_PARAM_construct_octet_string(
        OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)passphrase.data,
        passphrase.len);
    params[1] = OSSL_PARAM_construct_octet_string(
        OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data, salt.len);
    params[2] = OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n);
    params[3] = OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r32);
    params[4] = OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p32);
    params[5] =
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &most);
    params[6] = OSSL_PARAM_construct_end();
    ctx = EVP_KDF_CTX_new(suite->scrypt);
    ok = ctx && EVP_KDF_derive(ctx, out, out_len, params) > 0;
    EVP_KDF_CTX_free(ctx);
    if (!ok)
        return err_set(err, ERR_NOMEM, 0,
                       "scrypt: no memory (%u MiB are needed)",
                       (unsigned)(most / MIB));
    return ERR_OK;
}

uint64_t seal_wrap_scrypt_bytes(unsigned log2_n)
{
    return ((uint64_t)128 * SCRYPT_R) << log2_n;
}

/* K_wrap and commitment from z and the first 80 bytes of the wrap. */
static enum err_code derive(const struct seal_suite *suite,
                            const struct id16 *vault_id,
                            const struct seal_key *z, const uint8_t *wrap,
                            const uint8_t *recipient, struct wrap_keys *out,
                            struct err *err)
{
    uint8_t info[SEAL_LABEL + 16 + AT_COMMITMENT + 32];
    uint8_t okm[64];
    enum err_code rc;

    seal_internal_label(info, "cairn wrap 1");
    memcpy(info + SEAL_LABEL, vault_id->b, 16);
    memcpy(info + SEAL_LABEL + 16, wrap, AT_COMMITMENT);
    if (recipient)
        memcpy(info + SEAL_LABEL + 16 + AT_COMMITMENT, recipient, 32);
    else
        memset(info + SEAL_LABEL + 16 + AT_COMMITMENT, 0, 32);
    rc = seal_key_hkdf(suite, (struct slice){z->b, sizeof(z->b)},
                       (struct slice){wrap + AT_SALT, 16},
                       (struct slice){info, sizeof(info)}, okm, sizeof(okm),
                       err);
    memcpy(out->key.b, okm, 32);
    memcpy(out->commitment, okm + 32, 32);
    bytes_wipe(okm, sizeof(okm));
    return rc;
}

/* The first 80 bytes, but for the ephemeral key. */
static enum err_code write_head(const struct seal_wrap_opts *opts,
                                enum seal_wrap_method method, uint8_t *wrap,
                                struct err *err)
{
    memset(wrap, 0, SEAL_WRAP_BYTES);
    memcpy(wrap, magic, sizeof(magic));
    wrap[AT_VERSION] = SEAL_VERSION;
    wrap[AT_SUITE] = SEAL_SUITE;
    wrap[AT_METHOD] = (uint8_t)method;
    wrap[AT_LOG2_N] = method == SEAL_WRAP_SCRYPT ? (uint8_t)opts->log2_n : 0;
    wrap[AT_WHAT] = (uint8_t)opts->what;
    memcpy(wrap + AT_KEY_ID, opts->key_id.b, 16);
    if (!opts->salt)
        return seal_key_random(wrap + AT_SALT, 16, err);
    memcpy(wrap + AT_SALT, opts->salt, 16);
    return ERR_OK;
}

/* Commitment and box, once z is known. */
static enum err_code write_box(const struct seal_wrap_opts *opts,
                               const struct seal_key *z,
                               const uint8_t *recipient, uint8_t *wrap,
                               struct err *err)
{
    static const uint8_t nonce[SEAL_CIPHER_NONCE];
    struct seal_cipher *cipher = NULL;
    struct wrap_keys keys;
    enum err_code rc;

    rc = derive(opts->suite, &opts->vault_id, z, wrap, recipient, &keys, err);
    if (rc != ERR_OK)
        goto out;
    memcpy(wrap + AT_COMMITMENT, keys.commitment, sizeof(keys.commitment));
    cipher = seal_cipher_new(opts->suite);
    if (!cipher ||
        !seal_cipher_seal(cipher, &keys.key, nonce, (struct slice){NULL, 0},
                          (struct slice){opts->secret->b, 32}, wrap + AT_BOX))
        rc = err_set(err, ERR_NOMEM, 0, "wrap");
out:
    seal_cipher_free(cipher);
    bytes_wipe(&keys, sizeof(keys));
    return rc;
}

enum err_code seal_wrap_make(const struct seal_wrap_opts *opts,
                             uint8_t out[SEAL_WRAP_BYTES], struct err *err)
{
    struct seal_pair ephemeral = {0};
    struct seal_key z = {0};
    enum err_code rc;

    if (!opts->recipient || !opts->secret || opts->what < SEAL_WRAP_RS ||
        opts->what > SEAL_WRAP_DK)
        return err_set(err, ERR_ARGUMENT, 0, "wrap: nothing of that kind");
    rc = opts->ephemeral ? seal_pair_from(opts->ephemeral, &ephemeral, err)
                         : seal_pair_new(&ephemeral, err);
    if (rc == ERR_OK)
        rc = write_head(opts, SEAL_WRAP_X25519, out, err);
    if (rc == ERR_OK)
        rc = seal_key_agree(&ephemeral.private, opts->recipient, &z, err);
    if (rc == ERR_OK) {
        memcpy(out + AT_EPHEMERAL, ephemeral.public, 32);
        rc = write_box(opts, &z, opts->recipient, out, err);
    }
    seal_key_fini(&z);
    seal_pair_fini(&ephemeral);
    return rc;
}

static enum err_code stretch(const struct seal_suite *suite,
                             const char *passphrase, const uint8_t *wrap,
                             struct seal_key *z, struct err *err)
{
    return seal_wrap_scrypt(
        suite, (struct slice){(const uint8_t *)passphrase, strlen(passphrase)},
        (struct slice){wrap + AT_SALT, 16}, wrap[AT_LOG2_N], SCRYPT_R, 1, z->b,
        sizeof(z->b), err);
}

enum err_code seal_wrap_make_scrypt(const struct seal_wrap_opts *opts,
                                    uint8_t out[SEAL_WRAP_BYTES],
                                    struct err *err)
{
    struct seal_key z = {0};
    enum err_code rc;

    if (!opts->passphrase || !opts->secret || opts->what != SEAL_WRAP_PRIVATE ||
        opts->log2_n < LOG2_N_MIN || opts->log2_n > LOG2_N_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "recovery wrap: a private key, a passphrase and log2 N "
                       "from %d to %d are needed",
                       LOG2_N_MIN, LOG2_N_MAX);
    rc = write_head(opts, SEAL_WRAP_SCRYPT, out, err);
    if (rc == ERR_OK)
        rc = stretch(opts->suite, opts->passphrase, out, &z, err);
    if (rc == ERR_OK)
        rc = write_box(opts, &z, NULL, out, err);
    seal_key_fini(&z);
    return rc;
}

/* What is wrong with a wrap's plain part; NULL: nothing. */
static const char *fault_of(const uint8_t *w)
{
    bool scrypt = w[AT_METHOD] == SEAL_WRAP_SCRYPT;

    if (w[AT_METHOD] != SEAL_WRAP_X25519 && !scrypt)
        return "unknown method";
    if (w[AT_WHAT] < SEAL_WRAP_RS || w[AT_WHAT] > SEAL_WRAP_PRIVATE)
        return "unknown kind of secret";
    if (scrypt != (w[AT_WHAT] == SEAL_WRAP_PRIVATE))
        return "method and kind of secret do not go together";
    if (scrypt ? w[AT_LOG2_N] < LOG2_N_MIN || w[AT_LOG2_N] > LOG2_N_MAX
               : w[AT_LOG2_N] != 0)
        return "log2 N out of bounds";
    if (!bytes_all_zero(w + AT_ZERO, AT_KEY_ID - AT_ZERO))
        return "a zero field is not zero";
    if (scrypt && !bytes_all_zero(w + AT_EPHEMERAL, 32))
        return "an ephemeral key beside a passphrase";
    return NULL;
}

enum err_code seal_wrap_parse(const uint8_t *wrap, size_t len,
                              struct seal_wrap_info *info, struct err *err)
{
    const char *fault;

    if (len != SEAL_WRAP_BYTES)
        return err_set(err, ERR_INTEGRITY, 0, "wrap: %zu bytes, not %d", len,
                       SEAL_WRAP_BYTES);
    if (memcmp(wrap, magic, sizeof(magic)) != 0)
        return err_set(err, ERR_INTEGRITY, 0, "wrap: no wrapped key");
    if (wrap[AT_VERSION] != SEAL_VERSION)
        return err_set(err, ERR_INTEGRITY, 0, "wrap: unknown version %u",
                       wrap[AT_VERSION]);
    if (wrap[AT_SUITE] != SEAL_SUITE)
        return err_set(err, ERR_INTEGRITY, 0, "wrap: unknown suite %u",
                       wrap[AT_SUITE]);
    fault = fault_of(wrap);
    if (fault)
        return err_set(err, ERR_INTEGRITY, 0, "wrap: %s", fault);
    info->method = wrap[AT_METHOD];
    info->what = wrap[AT_WHAT];
    info->log2_n = wrap[AT_LOG2_N];
    memcpy(info->key_id.b, wrap + AT_KEY_ID, 16);
    return ERR_OK;
}

/* Parse, and compare with what the name of the object says. */
static enum err_code check_head(const struct seal_wrap_open_opts *opts,
                                const uint8_t *wrap, size_t len,
                                enum seal_wrap_method method,
                                struct seal_wrap_info *info, struct err *err)
{
    enum err_code rc = seal_wrap_parse(wrap, len, info, err);

    if (rc != ERR_OK)
        return rc;
    if (info->method != method)
        return err_set(err, ERR_INTEGRITY, 0,
                       "wrap: method %d does not belong here",
                       (int)info->method);
    if (!id16_equal(&info->key_id, &opts->key_id))
        return err_set(err, ERR_INTEGRITY, 0,
                       "wrap: of another key than its name says");
    return ERR_OK;
}

/* `mismatch`: what it means that the commitment is another (ERR_KEY). */
static enum err_code open_box(const struct seal_wrap_open_opts *opts,
                              const struct seal_key *z, const uint8_t *wrap,
                              const uint8_t *recipient, struct seal_key *out,
                              const char *mismatch, struct err *err)
{
    static const uint8_t nonce[SEAL_CIPHER_NONCE];
    struct seal_cipher *cipher = NULL;
    struct wrap_keys keys;
    enum err_code rc;

    rc = derive(opts->suite, &opts->vault_id, z, wrap, recipient, &keys, err);
    if (rc != ERR_OK)
        goto out;
    if (!bytes_equal_ct(keys.commitment, wrap + AT_COMMITMENT,
                        sizeof(keys.commitment))) {
        rc = err_set(err, ERR_KEY, 0, "%s", mismatch);
        goto out;
    }
    cipher = seal_cipher_new(opts->suite);
    if (!cipher)
        rc = err_set(err, ERR_NOMEM, 0, "wrap");
    else if (!seal_cipher_open(
                 cipher, &keys.key, nonce, (struct slice){NULL, 0},
                 (struct slice){wrap + AT_BOX, SEAL_WRAP_BYTES - AT_BOX},
                 out->b))
        rc = err_set(err, ERR_INTEGRITY, 0, "wrap: its tag is wrong");
out:
    seal_cipher_free(cipher);
    bytes_wipe(&keys, sizeof(keys));
    return rc;
}

/* A secret that is not what it lies under was planted. */
static enum err_code check_id(const struct seal_wrap_open_opts *opts,
                              enum seal_wrap_what what,
                              const struct seal_key *secret, struct err *err)
{
    struct id16 id;
    enum err_code rc;

    if (what == SEAL_WRAP_RS)
        rc = seal_key_vault_id(opts->suite, secret, &id, err);
    else if (!opts->rs)
        rc = err_set(err, ERR_ARGUMENT, 0, "wrap: RS is needed first");
    else
        rc = seal_key_derive(opts->suite, opts->rs,
                             what == SEAL_WRAP_MK ? SEAL_KEY_META
                                                  : SEAL_KEY_DATA,
                             secret, &id, NULL, err);
    if (rc != ERR_OK)
        return rc;
    if (!id16_equal(&id, &opts->key_id) ||
        (what == SEAL_WRAP_RS && !id16_equal(&id, &opts->vault_id)))
        return err_set(err, ERR_INTEGRITY, 0,
                       "wrap: the secret is not the one of this name");
    return ERR_OK;
}

enum err_code seal_wrap_open(const struct seal_wrap_open_opts *opts,
                             const uint8_t *wrap, size_t len,
                             struct seal_key *out, enum seal_wrap_what *what,
                             struct err *err)
{
    struct seal_key z = {0}, secret = {0};
    struct seal_wrap_info info;
    enum err_code rc;

    rc = check_head(opts, wrap, len, SEAL_WRAP_X25519, &info, err);
    if (rc == ERR_OK)
        rc = seal_key_agree(&opts->pair->private, wrap + AT_EPHEMERAL, &z, err);
    if (rc == ERR_OK)
        rc = open_box(opts, &z, wrap, opts->pair->public, &secret,
                      "wrap: not made for this key, or its commitment is "
                      "damaged",
                      err);
    if (rc == ERR_OK)
        rc = check_id(opts, info.what, &secret, err);
    if (rc == ERR_OK) {
        *out = secret;
        if (what)
            *what = info.what;
    }
    seal_key_fini(&z);
    seal_key_fini(&secret);
    return rc;
}

enum err_code seal_wrap_open_scrypt(const struct seal_wrap_open_opts *opts,
                                    const uint8_t *wrap, size_t len,
                                    struct seal_pair *out, struct err *err)
{
    struct seal_key z = {0}, private_key = {0};
    struct seal_pair pair = {0};
    struct seal_wrap_info info;
    struct id16 tag;
    enum err_code rc;

    rc = check_head(opts, wrap, len, SEAL_WRAP_SCRYPT, &info, err);
    if (rc == ERR_OK)
        rc = stretch(opts->suite, opts->passphrase, wrap, &z, err);
    if (rc == ERR_OK)
        rc = open_box(opts, &z, wrap, NULL, &private_key,
                      "wrong passphrase, or the recovery key is damaged", err);
    if (rc == ERR_OK)
        rc = seal_pair_from(&private_key, &pair, err);
    if (rc == ERR_OK)
        rc = seal_key_tag(opts->suite, &opts->vault_id, pair.public, &tag, err);
    if (rc == ERR_OK && !id16_equal(&tag, &opts->key_id))
        rc = err_set(err, ERR_INTEGRITY, 0,
                     "wrap: the private key is not the one of this name");
    if (rc == ERR_OK)
        *out = pair;
    seal_key_fini(&z);
    seal_key_fini(&private_key);
    seal_pair_fini(&pair);
    return rc;
}
