/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/bench/limit_hmac.h - HMAC-SHA256 over OpenSSL's EVP digest, the key's
 * two blocks hashed once: the cheapest that the library offers.
 */
#ifndef CAIRN_BENCH_LIMIT_HMAC_H
#define CAIRN_BENCH_LIMIT_HMAC_H

#include <stddef.h>
#include <stdint.h>

struct limit_hmac;

/* NULL: out of memory, or a key of over 64 bytes. */
struct limit_hmac *limit_hmac_new(const uint8_t *key, size_t len);
void limit_hmac_free(struct limit_hmac *h);
void limit_hmac_begin(struct limit_hmac *h);
void limit_hmac_add(struct limit_hmac *h, const void *data, size_t len);
void limit_hmac_end(struct limit_hmac *h, uint8_t out[32]);

#endif
