/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_tls.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "net/http_tls_ctx.h"

enum trust_kind { TRUST_CA, TRUST_PIN, TRUST_SHOW };

struct http_trust {
    enum trust_kind kind;
    atomic_uint holders;
    X509_STORE *store; /* TRUST_CA; OpenSSL locks it itself */
    /* TRUST_CA: of what the store was filled with; TRUST_PIN: of the leaf. */
    uint8_t sha256[32];
    pthread_mutex_t seen_lock; /* TRUST_SHOW: the two below */
    bool seen;
    uint8_t seen_sha256[32];
};

static struct http_trust *trust_alloc(enum trust_kind kind, struct err *err)
{
    struct http_trust *t = calloc(1, sizeof(*t));

    if (!t || pthread_mutex_init(&t->seen_lock, NULL) != 0) {
        free(t);
        err_set(err, ERR_NOMEM, 0, "TLS trust");
        return NULL;
    }
    t->kind = kind;
    atomic_init(&t->holders, 1);
    return t;
}

struct http_trust *http_trust_hold(struct http_trust *t)
{
    atomic_fetch_add(&t->holders, 1);
    return t;
}

void http_trust_drop(struct http_trust *t)
{
    if (!t || atomic_fetch_sub(&t->holders, 1) != 1)
        return;
    X509_STORE_free(t->store);
    pthread_mutex_destroy(&t->seen_lock);
    free(t);
}

static enum err_code trust_new_ca(struct http_trust **out, struct err *err)
{
    struct http_trust *t = trust_alloc(TRUST_CA, err);

    if (!t)
        return ERR_NOMEM;
    t->store = X509_STORE_new();
    /* A bundle may hold an intermediate, or a server's own certificate. */
    if (!t->store ||
        !X509_STORE_set_flags(t->store, X509_V_FLAG_PARTIAL_CHAIN)) {
        http_trust_drop(t);
        return err_set(err, ERR_NOMEM, 0, "TLS trust");
    }
    *out = t;
    return ERR_OK;
}

enum err_code http_trust_system(struct http_trust **out, struct err *err)
{
    const char *bundle = getenv(X509_get_default_cert_file_env());
    struct http_trust *t = NULL;
    unsigned len = 0;

    if (!bundle || !*bundle)
        bundle = curl_version_info(CURLVERSION_NOW)->cainfo;
    if (!bundle)
        bundle = X509_get_default_cert_file();
    if (trust_new_ca(&t, err) != ERR_OK)
        return ERR_NOMEM;
    if (!X509_STORE_load_file(t->store, bundle)) {
        ERR_clear_error();
        http_trust_drop(t);
        return err_set(err, ERR_IO, 0, "%s: cannot read CA certificates",
                       bundle);
    }
    if (!EVP_Digest(bundle, strlen(bundle), t->sha256, &len, EVP_sha256(),
                    NULL)) {
        http_trust_drop(t);
        return err_set(err, ERR_NOMEM, 0, "TLS trust");
    }
    /* Not to be taken for a PEM text of the same bytes. */
    t->sha256[0] ^= 0x80;
    *out = t;
    return ERR_OK;
}

/* Returns how many certificates of the text went into the store, or -1 when
 * one is damaged. */
static int add_pem(X509_STORE *store, BIO *bio)
{
    int count = 0;
    X509 *cert;

    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        int ok = X509_STORE_add_cert(store, cert);

        X509_free(cert);
        if (!ok)
            return -1;
        count++;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return -1;
    return count;
}

enum err_code http_trust_ca(const char *pem, struct http_trust **out,
                            struct err *err)
{
    struct http_trust *t = NULL;
    enum err_code rc;
    BIO *bio = NULL;
    unsigned len = 0;
    int count;

    if (strlen(pem) > 16 * MIB)
        return err_set(err, ERR_ARGUMENT, 0, "CA certificates over 16 MiB");
    rc = trust_new_ca(&t, err);
    if (rc != ERR_OK)
        return rc;
    bio = BIO_new_mem_buf(pem, (int)strlen(pem));
    if (!bio ||
        !EVP_Digest(pem, strlen(pem), t->sha256, &len, EVP_sha256(), NULL)) {
        rc = err_set(err, ERR_NOMEM, 0, "TLS trust");
        goto out;
    }
    ERR_clear_error();
    count = add_pem(t->store, bio);
    ERR_clear_error();
    if (count < 0) {
        rc = err_set(err, ERR_ARGUMENT, 0, "a CA certificate is damaged");
        goto out;
    }
    if (count == 0) {
        rc = err_set(err, ERR_ARGUMENT, 0, "no CA certificate in PEM form");
        goto out;
    }
    *out = t;
    t = NULL;
    rc = ERR_OK;
out:
    BIO_free(bio);
    http_trust_drop(t);
    return rc;
}

enum err_code http_trust_pin(const uint8_t sha256[32], struct http_trust **out,
                             struct err *err)
{
    struct http_trust *t = trust_alloc(TRUST_PIN, err);

    if (!t)
        return ERR_NOMEM;
    memcpy(t->sha256, sha256, sizeof(t->sha256));
    *out = t;
    return ERR_OK;
}

enum err_code http_trust_show(struct http_trust **out, struct err *err)
{
    struct http_trust *t = trust_alloc(TRUST_SHOW, err);

    if (!t)
        return ERR_NOMEM;
    *out = t;
    return ERR_OK;
}

bool http_trust_seen(const struct http_trust *t, uint8_t sha256[32])
{
    /* The lock is no part of what the caller sees as constant. */
    pthread_mutex_t *lock = (pthread_mutex_t *)&t->seen_lock;
    bool seen;

    pthread_mutex_lock(lock);
    seen = t->seen;
    if (seen)
        memcpy(sha256, t->seen_sha256, sizeof(t->seen_sha256));
    pthread_mutex_unlock(lock);
    return seen;
}

bool http_trust_parse_pin(const char *text, uint8_t sha256[32])
{
    char digits[65];
    bool colons;

    if (strncasecmp(text, "sha256:", 7) == 0)
        text += 7;
    if (strlen(text) != 64 && strlen(text) != 95)
        return false;
    colons = strlen(text) == 95;
    for (size_t i = 0; i < 64; i++) {
        if (colons && i > 0 && i % 2 == 0 && *text++ != ':')
            return false;
        digits[i] = (char)tolower((unsigned char)*text++);
    }
    digits[64] = '\0';
    return bytes_unhex(digits, sha256, 32);
}

/* Called by OpenSSL in place of all its own checks of the chain. */
static int on_verify(X509_STORE_CTX *store_ctx, void *arg)
{
    struct http_trust *t = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(store_ctx);
    uint8_t shown[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    if (!leaf || !X509_digest(leaf, EVP_sha256(), shown, &len) || len != 32)
        return 0;
    if (t->kind == TRUST_SHOW) {
        pthread_mutex_lock(&t->seen_lock);
        t->seen = true;
        memcpy(t->seen_sha256, shown, sizeof(t->seen_sha256));
        pthread_mutex_unlock(&t->seen_lock);
        return 0;
    }
    if (!bytes_equal_ct(shown, t->sha256, sizeof(t->sha256)))
        return 0;
    X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
    return 1;
}

bool http_trust_apply(struct http_trust *t, SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    /* A body's end is told by its length, or is the caller's to find out; a
     * missing close_notify tells nothing more. */
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* A record with one call of the kernel, not its head and its body each with
     * one of their own. */
    SSL_CTX_set_read_ahead(ctx, 1);
    if (t->kind != TRUST_CA) {
        SSL_CTX_set_cert_verify_callback(ctx, on_verify, t);
        return true;
    }
    SSL_CTX_set1_cert_store(ctx, t->store);
    return SSL_CTX_get_cert_store(ctx) == t->store;
}

bool http_trust_holds_more(const SSL *ssl)
{
    return SSL_has_pending(ssl) && !SSL_want_read(ssl);
}

bool http_trust_checks_name(const struct http_trust *t)
{
    return t->kind == TRUST_CA;
}

bool http_trust_same(const struct http_trust *a, const struct http_trust *b)
{
    if (a == b)
        return true;
    return a && b && a->kind == b->kind && a->kind != TRUST_SHOW &&
           memcmp(a->sha256, b->sha256, sizeof(a->sha256)) == 0;
}

const char *http_trust_refusal(const struct http_trust *t, long verdict)
{
    /* libcurl has a verdict of its own, another one, till a certificate has
     * come: of who closes, or speaks another TLS, it is no word of ours. */
    if (verdict != X509_V_ERR_APPLICATION_VERIFICATION)
        return NULL;
    switch (t->kind) {
    case TRUST_PIN:
        return "its certificate is not the one that is pinned";
    case TRUST_SHOW:
        return "its certificate was noted, not trusted";
    case TRUST_CA:
        break;
    }
    return NULL;
}
