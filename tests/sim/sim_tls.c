/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/sim/sim_mem.h"

#define YEAR_S (365L * 24 * 3600)

/* tls_policy.ml at HEAD */
#define SUITES "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"
#define GROUPS "secp384r1"

static enum err_code tls_fail(struct err *err, const char *what)
{
    ERR_clear_error();
    return err_set(err, ERR_IO, 0, "%s: OpenSSL failed", what);
}

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;
    bool ok;

    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *name, X509 *issuer,
                 bool expired)
{
    X509_NAME *subject = X509_get_subject_name(x);
    uint64_t serial;

    if (RAND_bytes((uint8_t *)&serial, sizeof(serial)) != 1)
        return false;
    return X509_set_version(x, 2) &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) &&
           X509_gmtime_adj(X509_getm_notBefore(x),
                           expired ? -2 * YEAR_S : -86400) &&
           X509_gmtime_adj(X509_getm_notAfter(x),
                           expired ? -86400 : 10 * YEAR_S) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                      (const uint8_t *)name, -1, -1, 0) &&
           X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer)
                                          : subject) &&
           X509_set_pubkey(x, key);
}

static bool save(const char *stem, X509 *x, EVP_PKEY *key)
{
    char *crt = sim_mem_printf("%s.crt", stem);
    char *pem = sim_mem_printf("%s.key", stem);
    FILE *c = fopen(crt, "w"), *k = fopen(pem, "w");
    bool ok;

    ok = c && k && PEM_write_X509(c, x) &&
         PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    if (c)
        ok = fclose(c) == 0 && ok;
    if (k)
        ok = fclose(k) == 0 && ok;
    free(crt);
    free(pem);
    return ok;
}

enum err_code sim_tls_make_ca(struct sim_pool *pool, const char *dir,
                              struct err *err)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *x = X509_new();
    char *name = sim_mem_printf("xensim CA of %s", pool->name);
    char *stem = sim_mem_printf("%s/ca", dir);
    enum err_code rc = ERR_OK;

    if (!key || !x || !fill(x, key, name, NULL, false) ||
        !add_extension(x, NID_basic_constraints, "critical,CA:TRUE") ||
        !add_extension(x, NID_key_usage, "critical,keyCertSign") ||
        !add_extension(x, NID_subject_key_identifier, "hash") ||
        !X509_sign(x, key, EVP_sha256()) || !save(stem, x, key))
        rc = tls_fail(err, stem);
    else
        pool->ca = sim_mem_printf("%s.crt", stem);
    X509_free(x);
    EVP_PKEY_free(key);
    free(name);
    free(stem);
    return rc;
}

static bool load_ca(const char *dir, X509 **x, EVP_PKEY **key)
{
    char *crt = sim_mem_printf("%s/ca.crt", dir);
    char *pem = sim_mem_printf("%s/ca.key", dir);
    FILE *c = fopen(crt, "r"), *k = fopen(pem, "r");

    if (c) {
        *x = PEM_read_X509(c, NULL, NULL, NULL);
        fclose(c);
    }
    if (k) {
        *key = PEM_read_PrivateKey(k, NULL, NULL, NULL);
        fclose(k);
    }
    free(crt);
    free(pem);
    return *x && *key;
}

enum err_code sim_tls_make(struct sim_host *h, const char *dir, bool expired,
                           struct err *err)
{
    const char *name = h->tls_name ? h->tls_name : h->name;
    EVP_PKEY *key = EVP_RSA_gen(h->tls_key_bits), *ca_key = NULL;
    X509 *x = X509_new(), *ca = NULL;
    char *stem = sim_mem_printf("%s/%s", dir, h->name);
    char *crt = sim_mem_printf("%s.crt", stem);
    char *pem = sim_mem_printf("%s.key", stem);
    char *san = h->tls_name ? sim_mem_printf("DNS:%s", name)
                            : sim_mem_printf("DNS:%s,IP:%s", name, h->address);
    enum err_code rc = ERR_OK;

    if (!key || !x || (h->pool->ca && !load_ca(dir, &ca, &ca_key)) ||
        !fill(x, key, name, ca, expired) ||
        !add_extension(x, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(x, NID_ext_key_usage, "serverAuth") ||
        !add_extension(x, NID_subject_alt_name, san) ||
        !X509_sign(x, ca ? ca_key : key, EVP_sha256()) || !save(stem, x, key))
        rc = tls_fail(err, stem);
    if (rc == ERR_OK)
        rc = sim_tls_load(h, crt, pem, err);
    X509_free(x);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    free(stem);
    free(crt);
    free(pem);
    free(san);
    return rc;
}

static int version_of(const char *text, int otherwise)
{
    if (!text)
        return otherwise;
    if (strcmp(text, "1.0") == 0)
        return TLS1_VERSION;
    if (strcmp(text, "1.1") == 0)
        return TLS1_1_VERSION;
    return strcmp(text, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static bool policy(SSL_CTX *ctx, const struct sim_host *h)
{
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
    return SSL_CTX_set_min_proto_version(
               ctx, version_of(h->tls_min, TLS1_2_VERSION)) &&
           SSL_CTX_set_max_proto_version(
               ctx, version_of(h->tls_max, TLS1_2_VERSION)) &&
           SSL_CTX_set_cipher_list(ctx,
                                   h->tls_ciphers ? h->tls_ciphers : SUITES) &&
           SSL_CTX_set1_groups_list(ctx, GROUPS);
}

enum err_code sim_tls_load(struct sim_host *h, const char *certificate,
                           const char *key, struct err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method()), *old;
    uint8_t digest[32];
    unsigned len = sizeof(digest);
    enum err_code rc = ERR_OK;

    if (ctx && h->tls_key_bits < 2048)
        SSL_CTX_set_security_level(ctx, 0);
    if (!ctx || !policy(ctx, h) ||
        SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
        X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), digest,
                    &len) != 1) {
        rc = tls_fail(err, certificate);
        goto out;
    }
    pthread_mutex_lock(&h->lock);
    old = h->tls;
    h->tls = ctx;
    ctx = old;
    bytes_hex(digest, sizeof(digest), h->fingerprint);
    free(h->certificate);
    h->certificate = sim_mem_dup(certificate);
    pthread_mutex_unlock(&h->lock);
out:
    SSL_CTX_free(ctx);
    return rc;
}
