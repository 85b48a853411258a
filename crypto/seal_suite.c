/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_suite.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "crypto/seal_internal.h"

enum err_code seal_suite_new(struct seal_suite **out, struct err *err)
{
    struct seal_suite *suite = calloc(1, sizeof(*suite));
    const char *lacking = NULL;

    if (!suite)
        return err_set(err, ERR_NOMEM, 0, "cryptography");
    suite->aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!suite->aes_gcm)
        lacking = "AES-256-GCM";
    suite->scrypt = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    if (!suite->scrypt)
        lacking = "scrypt";
    if (lacking) {
        seal_suite_free(suite);
        return err_set(err, ERR_ARGUMENT, 0,
                       "the cryptography library has no %s", lacking);
    }
    *out = suite;
    return ERR_OK;
}

void seal_suite_free(struct seal_suite *suite)
{
    if (!suite)
        return;
    EVP_CIPHER_free(suite->aes_gcm);
    EVP_KDF_free(suite->scrypt);
    free(suite);
}
