/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_internal.h - what the files of crypto/ share with each other.
 */
#ifndef CAIRN_CRYPTO_SEAL_INTERNAL_H
#define CAIRN_CRYPTO_SEAL_INTERNAL_H

#include <stdint.h>

#include "crypto/seal_suite.h"

struct evp_cipher_st;
struct evp_kdf_st;

/* The hashes are not here: seal_digest.c says why. */
struct seal_suite {
    struct evp_cipher_st *aes_gcm;
    struct evp_kdf_st *scrypt;
};

#define SEAL_VERSION 1 /* of every header */
#define SEAL_SUITE 1   /* the only suite there is */
#define SEAL_LABEL 16  /* bytes of a label in an HKDF's info */

/* Put a label, padded with zeros. */
void seal_internal_label(uint8_t out[SEAL_LABEL], const char *label);

#endif
