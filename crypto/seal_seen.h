/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_seen.h - a test's eyes on every seal: no key and nonce may ever
 * seal twice (DESIGN.md, invariant 3).
 *
 * Costs nothing unless built with CAIRN_FAILPOINTS (test builds). With
 * CAIRN_SEALS=FILE in the environment every seal of the process, of all
 * threads, is put down in FILE before it is made: a record of 32 bytes, the
 * first 16 of SHA-256(key || nonce) and the first 16 of SHA-256(u32 length of
 * the additional data || additional data || plaintext). Records are appended
 * by single writes, so that those of a process that is killed are all there,
 * and several processes may share a file. What cannot be put down ends the
 * process: a test must not miss one.
 */
#ifndef CAIRN_CRYPTO_SEAL_SEEN_H
#define CAIRN_CRYPTO_SEAL_SEEN_H

#include "crypto/seal_cipher.h"

#define SEAL_SEEN_RECORD 32

#ifdef CAIRN_FAILPOINTS
void seal_seen_note(const struct seal_key *key,
                    const uint8_t nonce[SEAL_CIPHER_NONCE], struct slice aad,
                    struct slice plain);
#define SEAL_SEEN(key, nonce, aad, plain)                                      \
    seal_seen_note((key), (nonce), (aad), (plain))
#else
#define SEAL_SEEN(key, nonce, aad, plain) ((void)0)
#endif

#endif
