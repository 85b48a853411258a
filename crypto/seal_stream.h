/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_stream.h - sealed streams (format.md 4): tocs, index runs,
 * points, collection lists, VM metadata.
 *
 * Small ones in one call; large ones through a reader or writer, which holds
 * one segment. A stream object is used by one thread at a time.
 */
#ifndef CAIRN_CRYPTO_SEAL_STREAM_H
#define CAIRN_CRYPTO_SEAL_STREAM_H

#include "base/buf.h"
#include "crypto/seal_key.h"

#define SEAL_STREAM_HEAD 80 /* header and commitment */
#define SEAL_STREAM_SEGMENT 65536
#define SEAL_STREAM_NAME_MAX 160 /* of the object's name, with the NUL */

enum seal_stream_kind {
    SEAL_STREAM_TOC = 1,
    SEAL_STREAM_INDEX_RUN = 2,
    SEAL_STREAM_POINT = 3,
    SEAL_STREAM_LIST = 4,
    SEAL_STREAM_METADATA = 5, /* under K_data; all others under K_meta */
};

/* Which key a stream is sealed under, and what it is bound to. */
struct seal_stream_opts {
    const struct seal_suite *suite;
    enum seal_stream_kind kind;
    struct id16 vault_id;
    struct id16 key_id;
    const struct seal_key *key; /* K_meta or K_data; copied */
    const char *name;           /* of the object, "points/..." */
    /* Sealing, for comparison with given streams: the 16 bytes that go into
     * the salt. NULL: drawn from the kernel. */
    const uint8_t *random;
};

/* Size of a stream of so many bytes, sealed. */
uint64_t seal_stream_bytes(uint64_t plain_len);

/* Append the sealed stream to out. ERR_NOMEM (also: out's bound), ERR_IO. */
enum err_code seal_stream_seal(const struct seal_stream_opts *opts,
                               const void *plain, size_t len, struct buf *out,
                               struct err *err);

/* The key id in the first 48 bytes, after checking magic, version, suite, kind
 * and zero fields: to look the key up. ERR_INTEGRITY. */
enum err_code seal_stream_key_id(enum seal_stream_kind kind, const void *sealed,
                                 size_t len, struct id16 *out, struct err *err);

/* Append the opened stream to out; nothing on failure. ERR_INTEGRITY (damage,
 * another name or kind, key id not opts->key_id), ERR_NOMEM. */
enum err_code seal_stream_open(const struct seal_stream_opts *opts,
                               const void *sealed, size_t len, struct buf *out,
                               struct err *err);

/* --- in pieces ---------------------------------------------------------- */

/* The salt of a stream to be written: the plaintext is seen once for the salt
 * and once more to be sealed. */
struct seal_stream_salt;
enum err_code seal_stream_salt_new(const struct seal_stream_opts *opts,
                                   struct seal_stream_salt **out,
                                   struct err *err);
void seal_stream_salt_add(struct seal_stream_salt *s, const void *plain,
                          size_t len);
/* ERR_NOMEM */
enum err_code seal_stream_salt_end(struct seal_stream_salt *s, uint8_t salt[16],
                                   struct err *err);
void seal_stream_salt_free(struct seal_stream_salt *s);

struct seal_stream_writer;
/* Nothing is written yet. ERR_NOMEM. */
enum err_code seal_stream_writer_new(const struct seal_stream_opts *opts,
                                     const uint8_t salt[16],
                                     struct seal_stream_writer **out,
                                     struct err *err);
/* Append what can be sealed to out. The same plaintext as for the salt. */
enum err_code seal_stream_writer_add(struct seal_stream_writer *w,
                                     const void *plain, size_t len,
                                     struct buf *out, struct err *err);
enum err_code seal_stream_writer_end(struct seal_stream_writer *w,
                                     struct buf *out, struct err *err);
void seal_stream_writer_free(struct seal_stream_writer *w);

struct seal_stream_reader;
enum err_code seal_stream_reader_new(const struct seal_stream_opts *opts,
                                     struct seal_stream_reader **out,
                                     struct err *err);
/* Append to out what has been proved so far. After an error only _free. What
 * comes out may be a truncated stream until _end() said ERR_OK. */
enum err_code seal_stream_reader_add(struct seal_stream_reader *r,
                                     const void *sealed, size_t len,
                                     struct buf *out, struct err *err);
enum err_code seal_stream_reader_end(struct seal_stream_reader *r,
                                     struct buf *out, struct err *err);
void seal_stream_reader_free(struct seal_stream_reader *r);

#endif
