/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_tls_pair.h"

#include <limits.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static BIO *open_text(const char *pem, struct err *err)
{
    size_t len = strlen(pem);
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;

    if (!bio)
        err_set(err, ERR_NOMEM, 0, "reading PEM");
    return bio;
}

static X509 *first_cert(const char *pem, struct err *err)
{
    BIO *bio = open_text(pem, err);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    if (bio && !cert)
        err_set(err, ERR_ARGUMENT, 0, "no certificate in PEM form");
    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

/* Instead of asking at the terminal. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

enum err_code http_tls_pair_cert(const char *pem, struct err *err)
{
    X509 *cert = first_cert(pem, err);

    if (!cert)
        return err->code;
    X509_free(cert);
    return ERR_OK;
}

enum err_code http_tls_pair_key(const char *pem, const char *cert_pem,
                                struct err *err)
{
    X509 *cert = first_cert(cert_pem, err);
    BIO *bio = cert ? open_text(pem, err) : NULL;
    EVP_PKEY *key = NULL;
    enum err_code rc = ERR_OK;

    if (!bio)
        goto out;
    key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (!key)
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "no private key in PEM form, without a password");
    else if (X509_check_private_key(cert, key) != 1)
        rc = err_set(err, ERR_ARGUMENT, 0, "not the key of the certificate");
out:
    if (!bio)
        rc = err->code;
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(cert);
    ERR_clear_error();
    return rc;
}
