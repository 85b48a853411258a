/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_wrap.h - one secret wrapped for one recipient (format.md 3).
 *
 * A wrap is 160 bytes. Method X25519 wraps RS, an MK or a DK for a public key;
 * method scrypt wraps a private key under a passphrase. The scrypt functions
 * take about a second and 256 MiB at log2 N = 18 and must be called on the
 * slow lane; all else is fast. Any thread.
 */
#ifndef CAIRN_CRYPTO_SEAL_WRAP_H
#define CAIRN_CRYPTO_SEAL_WRAP_H

#include "crypto/seal_key.h"

#define SEAL_WRAP_BYTES 160
#define SEAL_WRAP_LOG2_N 18 /* what writers use */

enum seal_wrap_what {
    SEAL_WRAP_RS = 1,
    SEAL_WRAP_MK = 2,
    SEAL_WRAP_DK = 3,
    SEAL_WRAP_PRIVATE = 4,
};
enum seal_wrap_method { SEAL_WRAP_X25519 = 1, SEAL_WRAP_SCRYPT = 2 };

/* What stands in a wrap, unproved. */
struct seal_wrap_info {
    enum seal_wrap_method method;
    enum seal_wrap_what what;
    unsigned log2_n;    /* 0 for X25519 */
    struct id16 key_id; /* the tag when what is SEAL_WRAP_PRIVATE */
};

struct seal_wrap_opts {
    const struct seal_suite *suite;
    struct id16 vault_id;
    enum seal_wrap_what what;
    struct id16 key_id; /* it lies under; the tag for SEAL_WRAP_PRIVATE */
    const struct seal_key *secret;
    const uint8_t *recipient; /* X25519: public key, 32 bytes */
    const char *passphrase;   /* scrypt */
    unsigned log2_n;          /* scrypt: 15 to 20 */
    /* For comparison with given wraps; NULL: drawn from the kernel. */
    const uint8_t *salt;              /* 16 bytes */
    const struct seal_key *ephemeral; /* X25519 private key */
};

/* Wrap for a public key. ERR_ARGUMENT, ERR_NOMEM, ERR_IO. */
enum err_code seal_wrap_make(const struct seal_wrap_opts *opts,
                             uint8_t out[SEAL_WRAP_BYTES], struct err *err);

/* Wrap a private key under a passphrase. Slow lane. */
enum err_code seal_wrap_make_scrypt(const struct seal_wrap_opts *opts,
                                    uint8_t out[SEAL_WRAP_BYTES],
                                    struct err *err);

/* Check everything that needs no secret: length, magic, version, suite,
 * method, N, what, zero fields. ERR_INTEGRITY says which. */
enum err_code seal_wrap_parse(const uint8_t *wrap, size_t len,
                              struct seal_wrap_info *info, struct err *err);

struct seal_wrap_open_opts {
    const struct seal_suite *suite;
    struct id16 vault_id;
    struct id16 key_id; /* that the object's name says (recovery: the tag) */
    const struct seal_pair *pair; /* X25519: the recipient's */
    const struct seal_key *rs;    /* to check the id of an MK or DK */
    const char *passphrase;       /* scrypt */
};

/*
 * Open a wrap for a key pair. The secret's own id is checked: RS against the
 * vault id, MK and DK against key_id (rs is needed then). *what tells which it
 * is; may be NULL. ERR_INTEGRITY (says why), ERR_KEY (not for this pair),
 * ERR_NOMEM; *out is untouched then.
 */
enum err_code seal_wrap_open(const struct seal_wrap_open_opts *opts,
                             const uint8_t *wrap, size_t len,
                             struct seal_key *out, enum seal_wrap_what *what,
                             struct err *err);

/* Open a recovery wrap with its passphrase; the pair's public key must give
 * the tag. Slow lane. ERR_KEY: wrong passphrase, or damage, which cannot be
 * told apart. */
enum err_code seal_wrap_open_scrypt(const struct seal_wrap_open_opts *opts,
                                    const uint8_t *wrap, size_t len,
                                    struct seal_pair *out, struct err *err);

/* The memory that scrypt takes with this N and our r = 8. */
uint64_t seal_wrap_scrypt_bytes(unsigned log2_n);

/* scrypt (RFC 7914) with N = 2^log2_n, log2_n from 1 to 20: 128 * r * N bytes
 * of memory are used. Slow lane. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code seal_wrap_scrypt(const struct seal_suite *suite,
                               struct slice passphrase, struct slice salt,
                               unsigned log2_n, unsigned r, unsigned p,
                               void *out, size_t out_len, struct err *err);

#endif
