/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_key.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_file.h"
#include "crypto/seal_hmac.h"
#include "crypto/seal_internal.h"

#define SERIES_MAX 128 /* bytes of a series id */

static const char file_head[] = "cairn gateway key 1\nsecret ";

void seal_internal_label(uint8_t out[SEAL_LABEL], const char *label)
{
    size_t len = strlen(label);

    memset(out, 0, SEAL_LABEL);
    memcpy(out, label, len < SEAL_LABEL ? len : SEAL_LABEL);
}

void seal_key_fini(struct seal_key *key)
{
    bytes_wipe(key, sizeof(*key));
}

void seal_pair_fini(struct seal_pair *pair)
{
    bytes_wipe(pair, sizeof(*pair));
}

enum err_code seal_key_random(void *out, size_t len, struct err *err)
{
    uint8_t *p = out;

    while (len) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, ERR_IO, errno, "getrandom: %s",
                           strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

enum err_code seal_key_new(struct seal_key *out, struct err *err)
{
    return seal_key_random(out->b, sizeof(out->b), err);
}

enum err_code seal_pair_new(struct seal_pair *out, struct err *err)
{
    struct seal_key private_key;
    enum err_code rc = seal_key_new(&private_key, err);

    if (rc == ERR_OK)
        rc = seal_pair_from(&private_key, out, err);
    seal_key_fini(&private_key);
    return rc;
}

enum err_code seal_pair_from(const struct seal_key *private_key,
                             struct seal_pair *out, struct err *err)
{
    uint8_t public_key[32];
    size_t len = sizeof(public_key);
    EVP_PKEY *pkey;
    int ok;

    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key->b,
                                        sizeof(private_key->b));
    ok = pkey && EVP_PKEY_get_raw_public_key(pkey, public_key, &len) > 0 &&
         len == sizeof(public_key);
    EVP_PKEY_free(pkey);
    if (!ok)
        return err_set(err, ERR_NOMEM, 0, "X25519: no public key");
    out->private = *private_key;
    memcpy(out->public, public_key, sizeof(public_key));
    return ERR_OK;
}

enum err_code seal_key_agree(const struct seal_key *private_key,
                             const uint8_t public_key[32], struct seal_key *out,
                             struct err *err)
{
    struct seal_key z = {0};
    enum err_code rc = ERR_OK;
    size_t len = sizeof(z.b);
    EVP_PKEY *mine, *theirs;
    EVP_PKEY_CTX *ctx = NULL;

    mine = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key->b,
                                        sizeof(private_key->b));
    theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, 32);
    if (mine && theirs)
        ctx = EVP_PKEY_CTX_new(mine, NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) <= 0 ||
        EVP_PKEY_derive_set_peer(ctx, theirs) <= 0) {
        rc = err_set(err, ERR_NOMEM, 0, "X25519");
    } else if (EVP_PKEY_derive(ctx, z.b, &len) <= 0 || len != sizeof(z.b) ||
               bytes_all_zero(z.b, sizeof(z.b))) {
        /* The library refuses an all-zero secret by itself; if it ever
         * stopped, the last condition would. */
        rc = err_set(err, ERR_INTEGRITY, 0,
                     "X25519: the public key is of low order");
    } else {
        *out = z;
    }
    seal_key_fini(&z);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(mine);
    return rc;
}

/* RFC 5869, 2.3: T(n) = HMAC(PRK, T(n-1) || info || n). */
static bool expand(struct seal_hmac *h, struct slice info, uint8_t *out,
                   size_t out_len)
{
    uint8_t t[32];
    uint8_t n = 0;
    bool ok = true;

    while (ok && out_len) {
        size_t take = out_len < sizeof(t) ? out_len : sizeof(t);

        seal_hmac_begin(h);
        if (n++)
            seal_hmac_add(h, t, sizeof(t));
        seal_hmac_add(h, info.data, info.len);
        seal_hmac_add(h, &n, 1);
        ok = seal_hmac_end(h, t);
        memcpy(out, t, take);
        out += take;
        out_len -= take;
    }
    bytes_wipe(t, sizeof(t));
    return ok;
}

enum err_code seal_key_hkdf(const struct seal_suite *suite, struct slice ikm,
                            struct slice salt, struct slice info, void *out,
                            size_t out_len, struct err *err)
{
    struct seal_hmac *h = NULL;
    uint8_t prk[32];
    bool ok;

    if (out_len > 255 * 32)
        return err_set(err, ERR_ARGUMENT, 0, "HKDF: too many bytes wanted");
    h = seal_hmac_new(suite);
    if (!h)
        return err_set(err, ERR_NOMEM, 0, "HKDF");
    seal_hmac_key(h, salt.data, salt.len);
    seal_hmac_begin(h);
    seal_hmac_add(h, ikm.data, ikm.len);
    ok = seal_hmac_end(h, prk);
    seal_hmac_key(h, prk, sizeof(prk));
    ok = expand(h, info, out, out_len) && ok;
    bytes_wipe(prk, sizeof(prk));
    seal_hmac_free(h);
    return ok ? ERR_OK : err_set(err, ERR_NOMEM, 0, "HKDF");
}

/* HKDF whose info is a label alone. */
static enum err_code derive(const struct seal_suite *suite, struct slice ikm,
                            struct slice salt, const char *label, void *out,
                            size_t out_len, struct err *err)
{
    uint8_t info[SEAL_LABEL];

    seal_internal_label(info, label);
    return seal_key_hkdf(suite, ikm, salt, (struct slice){info, sizeof(info)},
                         out, out_len, err);
}

enum err_code seal_key_vault_id(const struct seal_suite *suite,
                                const struct seal_key *rs, struct id16 *out,
                                struct err *err)
{
    return derive(suite, (struct slice){rs->b, sizeof(rs->b)},
                  (struct slice){NULL, 0}, "cairn vault 1", out->b,
                  sizeof(out->b), err);
}

static enum err_code derive_from_rs(const struct seal_suite *suite,
                                    const struct seal_key *rs,
                                    const char *label, struct seal_key *out,
                                    struct err *err)
{
    struct id16 vault_id;
    enum err_code rc = seal_key_vault_id(suite, rs, &vault_id, err);

    if (rc != ERR_OK)
        return rc;
    return derive(suite, (struct slice){rs->b, sizeof(rs->b)},
                  (struct slice){vault_id.b, sizeof(vault_id.b)}, label, out->b,
                  sizeof(out->b), err);
}

enum err_code seal_key_for_ids(const struct seal_suite *suite,
                               const struct seal_key *rs, struct seal_key *k_id,
                               struct err *err)
{
    return derive_from_rs(suite, rs, "cairn id 1", k_id, err);
}

enum err_code seal_key_for_names(const struct seal_suite *suite,
                                 const struct seal_key *rs,
                                 struct seal_key *k_name, struct err *err)
{
    return derive_from_rs(suite, rs, "cairn name 1", k_name, err);
}

enum err_code
seal_key_derive(const struct seal_suite *suite, const struct seal_key *rs,
                enum seal_key_role role, const struct seal_key *secret,
                struct id16 *key_id, struct seal_key *key, struct err *err)
{
    const char *label = role == SEAL_KEY_META ? "cairn meta 1" : "cairn data 1";
    uint8_t ikm[64], out[48];
    struct id16 vault_id;
    enum err_code rc;

    rc = seal_key_vault_id(suite, rs, &vault_id, err);
    if (rc != ERR_OK)
        return rc;
    memcpy(ikm, rs->b, 32);
    memcpy(ikm + 32, secret->b, 32);
    rc = derive(suite, (struct slice){ikm, sizeof(ikm)},
                (struct slice){vault_id.b, sizeof(vault_id.b)}, label, out,
                sizeof(out), err);
    if (rc == ERR_OK) {
        memcpy(key_id->b, out, 16);
        if (key)
            memcpy(key->b, out + 16, 32);
    }
    bytes_wipe(ikm, sizeof(ikm));
    bytes_wipe(out, sizeof(out));
    return rc;
}

enum err_code seal_key_tag(const struct seal_suite *suite,
                           const struct id16 *vault_id,
                           const uint8_t public_key[32], struct id16 *out,
                           struct err *err)
{
    uint8_t text[SEAL_LABEL + 16 + 32], hash[32];

    seal_internal_label(text, "cairn tag 1");
    memcpy(text + SEAL_LABEL, vault_id->b, 16);
    memcpy(text + SEAL_LABEL + 16, public_key, 32);
    if (!seal_digest_once(suite, SEAL_DIGEST_SHA256, text, sizeof(text), hash))
        return err_set(err, ERR_NOMEM, 0, "recipient's tag");
    memcpy(out->b, hash, 16);
    return ERR_OK;
}

enum err_code seal_key_vm_tag(const struct seal_suite *suite,
                              const struct seal_key *k_name, const char *series,
                              struct id16 *out, struct err *err)
{
    size_t len = strlen(series);
    uint8_t mac[32];

    if (len == 0 || len > SERIES_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "a series id has 1 to %d bytes, not %zu", SERIES_MAX,
                       len);
    if (!seal_digest_hmac(suite, k_name->b, sizeof(k_name->b), series, len,
                          mac))
        return err_set(err, ERR_NOMEM, 0, "VM's tag");
    memcpy(out->b, mac, 16);
    return ERR_OK;
}

enum err_code seal_key_save(const char *path, const struct seal_key *key,
                            struct err *err)
{
    char text[sizeof(file_head) + 2 * sizeof(key->b) + 1];
    size_t len = sizeof(file_head) - 1;
    enum err_code rc;

    memcpy(text, file_head, len);
    bytes_hex(key->b, sizeof(key->b), text + len);
    len += 2 * sizeof(key->b);
    text[len++] = '\n';
    rc = seal_file_write(path, text, len, err);
    bytes_wipe(text, sizeof(text));
    return rc;
}

enum err_code seal_key_load(const char *path, struct seal_key *out,
                            struct err *err)
{
    const size_t head = sizeof(file_head) - 1;
    struct seal_key key;
    struct buf text;
    enum err_code rc;

    buf_init_secret(&text, SEAL_FILE_MAX);
    rc = seal_file_read(path, true, &text, err);
    if (rc == ERR_OK) {
        bool good = text.len == head + 64 + 1 && text.data[head + 64] == '\n' &&
                    memcmp(text.data, file_head, head) == 0;

        if (good)
            text.data[head + 64] = 0; /* unhex wants the end of the text */
        if (good && bytes_unhex((char *)text.data + head, key.b, 32))
            *out = key;
        else
            rc = err_set(err, ERR_KEY, 0, "%s is no gateway key file", path);
    }
    seal_key_fini(&key);
    buf_fini(&text);
    return rc;
}
