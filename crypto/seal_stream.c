/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_stream.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_cipher.h"
#include "crypto/seal_hmac.h"
#include "crypto/seal_internal.h"

#define HEADER 48 /* without the commitment */
#define SEGMENT SEAL_STREAM_SEGMENT
#define SEALED_SEGMENT (SEGMENT + SEAL_CIPHER_TAG)

/* Where the fields of the header lie. */
enum {
    AT_VERSION = 8,
    AT_SUITE = 9,
    AT_KIND = 10,
    AT_ZERO = 12,
    AT_KEY_ID = 16,
    AT_SALT = 32,
};

static const uint8_t magic[8] = "CAIRNST1";

/* What writer and reader share. */
struct segments {
    struct seal_cipher *cipher;
    struct seal_key key;
    uint32_t counter; /* of the next segment */
    size_t held;      /* bytes in `block`, not yet sealed or opened */
    uint8_t block[SEALED_SEGMENT];
};

uint64_t seal_stream_bytes(uint64_t plain_len)
{
    uint64_t segments = plain_len ? (plain_len + SEGMENT - 1) / SEGMENT : 1;

    return SEAL_STREAM_HEAD + plain_len + segments * SEAL_CIPHER_TAG;
}

static void write_header(const struct seal_stream_opts *opts,
                         const uint8_t salt[16], uint8_t out[HEADER])
{
    memcpy(out, magic, sizeof(magic));
    out[AT_VERSION] = SEAL_VERSION;
    out[AT_SUITE] = SEAL_SUITE;
    bytes_put_u16(out + AT_KIND, (uint16_t)opts->kind);
    memset(out + AT_ZERO, 0, AT_KEY_ID - AT_ZERO);
    memcpy(out + AT_KEY_ID, opts->key_id.b, 16);
    memcpy(out + AT_SALT, salt, 16);
}

enum err_code seal_stream_key_id(enum seal_stream_kind kind, const void *sealed,
                                 size_t len, struct id16 *out, struct err *err)
{
    const uint8_t *head = sealed;

    if (len < SEAL_STREAM_HEAD)
        return err_set(err, ERR_INTEGRITY, 0, "stream: cut short");
    if (memcmp(head, magic, sizeof(magic)) != 0)
        return err_set(err, ERR_INTEGRITY, 0, "stream: no sealed stream");
    if (head[AT_VERSION] != SEAL_VERSION)
        return err_set(err, ERR_INTEGRITY, 0, "stream: unknown version %u",
                       head[AT_VERSION]);
    if (head[AT_SUITE] != SEAL_SUITE)
        return err_set(err, ERR_INTEGRITY, 0, "stream: unknown suite %u",
                       head[AT_SUITE]);
    if (bytes_get_u16(head + AT_KIND) != kind)
        return err_set(err, ERR_INTEGRITY, 0,
                       "stream: of kind %u, where %u belongs",
                       bytes_get_u16(head + AT_KIND), (unsigned)kind);
    if (!bytes_all_zero(head + AT_ZERO, AT_KEY_ID - AT_ZERO))
        return err_set(err, ERR_INTEGRITY, 0,
                       "stream: a zero field is not zero");
    memcpy(out->b, head + AT_KEY_ID, 16);
    return ERR_OK;
}

/* K_stream and commitment from the 48 bytes and the object's name. */
static enum err_code derive(const struct seal_stream_opts *opts,
                            const uint8_t header[HEADER], struct seal_key *key,
                            uint8_t commitment[32], struct err *err)
{
    uint8_t info[SEAL_LABEL + 16 + HEADER + SEAL_STREAM_NAME_MAX];
    size_t name_len = strlen(opts->name);
    uint8_t okm[64];
    enum err_code rc;

    if (name_len >= SEAL_STREAM_NAME_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "stream: its name is too long");
    seal_internal_label(info, "cairn stream 1");
    memcpy(info + SEAL_LABEL, opts->vault_id.b, 16);
    memcpy(info + SEAL_LABEL + 16, header, HEADER);
    memcpy(info + SEAL_LABEL + 16 + HEADER, opts->name, name_len);
    rc = seal_key_hkdf(
        opts->suite, (struct slice){opts->key->b, sizeof(opts->key->b)},
        (struct slice){header + AT_SALT, 16},
        (struct slice){info, SEAL_LABEL + 16 + HEADER + name_len}, okm,
        sizeof(okm), err);
    memcpy(key->b, okm, 32);
    memcpy(commitment, okm + 32, 32);
    bytes_wipe(okm, sizeof(okm));
    return rc;
}

static void put_nonce(uint32_t counter, bool last,
                      uint8_t nonce[SEAL_CIPHER_NONCE])
{
    memset(nonce, 0, SEAL_CIPHER_NONCE);
    bytes_put_u32(nonce, counter);
    nonce[4] = last;
}

static bool segments_init(struct segments *s, const struct seal_suite *suite)
{
    s->cipher = seal_cipher_new(suite);
    return s->cipher != NULL;
}

static void segments_fini(struct segments *s)
{
    seal_cipher_free(s->cipher);
    bytes_wipe(s, sizeof(*s));
}

/* --- the salt ------------------------------------------------------------- */

struct seal_stream_salt {
    struct seal_hmac *hmac;
};

enum err_code seal_stream_salt_new(const struct seal_stream_opts *opts,
                                   struct seal_stream_salt **out,
                                   struct err *err)
{
    struct seal_stream_salt *s = calloc(1, sizeof(*s));
    uint8_t random[16];
    enum err_code rc = ERR_OK;

    if (s)
        s->hmac = seal_hmac_new(opts->suite);
    if (!s || !s->hmac)
        rc = err_set(err, ERR_NOMEM, 0, "stream");
    else if (opts->random)
        memcpy(random, opts->random, sizeof(random));
    else
        rc = seal_key_random(random, sizeof(random), err);
    if (rc != ERR_OK) {
        seal_stream_salt_free(s);
        return rc;
    }
    seal_hmac_key(s->hmac, opts->key->b, sizeof(opts->key->b));
    seal_hmac_begin(s->hmac);
    seal_hmac_add(s->hmac, random, sizeof(random));
    *out = s;
    return ERR_OK;
}

void seal_stream_salt_add(struct seal_stream_salt *s, const void *plain,
                          size_t len)
{
    seal_hmac_add(s->hmac, plain, len);
}

enum err_code seal_stream_salt_end(struct seal_stream_salt *s, uint8_t salt[16],
                                   struct err *err)
{
    uint8_t mac[32];

    if (!seal_hmac_end(s->hmac, mac))
        return err_set(err, ERR_NOMEM, 0, "stream");
    memcpy(salt, mac, 16);
    return ERR_OK;
}

void seal_stream_salt_free(struct seal_stream_salt *s)
{
    if (s)
        seal_hmac_free(s->hmac);
    free(s);
}

/* --- writing ---------------------------------------------------------------
 */

struct seal_stream_writer {
    struct segments seg;
    bool begun; /* the head has been written */
    uint8_t head[SEAL_STREAM_HEAD];
};

enum err_code seal_stream_writer_new(const struct seal_stream_opts *opts,
                                     const uint8_t salt[16],
                                     struct seal_stream_writer **out,
                                     struct err *err)
{
    struct seal_stream_writer *w = calloc(1, sizeof(*w));
    enum err_code rc;

    if (!w || !segments_init(&w->seg, opts->suite)) {
        seal_stream_writer_free(w);
        return err_set(err, ERR_NOMEM, 0, "stream");
    }
    write_header(opts, salt, w->head);
    rc = derive(opts, w->head, &w->seg.key, w->head + HEADER, err);
    if (rc != ERR_OK) {
        seal_stream_writer_free(w);
        return rc;
    }
    *out = w;
    return ERR_OK;
}

void seal_stream_writer_free(struct seal_stream_writer *w)
{
    if (w)
        segments_fini(&w->seg);
    free(w);
}

/* Seal what is held, and append the head before the first segment. */
static enum err_code write_segment(struct seal_stream_writer *w, bool last,
                                   struct buf *out, struct err *err)
{
    struct segments *s = &w->seg;
    uint8_t nonce[SEAL_CIPHER_NONCE];
    uint8_t *at;

    if (!w->begun)
        buf_add(out, w->head, sizeof(w->head));
    w->begun = true;
    at = buf_extend(out, s->held + SEAL_CIPHER_TAG);
    put_nonce(s->counter++, last, nonce);
    if (!at ||
        !seal_cipher_seal(s->cipher, &s->key, nonce, (struct slice){NULL, 0},
                          (struct slice){s->block, s->held}, at))
        return err_set(err, ERR_NOMEM, 0, "stream");
    s->held = 0;
    return ERR_OK;
}

enum err_code seal_stream_writer_add(struct seal_stream_writer *w,
                                     const void *plain, size_t len,
                                     struct buf *out, struct err *err)
{
    struct segments *s = &w->seg;
    const uint8_t *at = plain;

    while (len) {
        size_t n;

        /* A full segment may be the last one until more comes. */
        if (s->held == SEGMENT) {
            enum err_code rc = write_segment(w, false, out, err);

            if (rc != ERR_OK)
                return rc;
        }
        n = len < SEGMENT - s->held ? len : SEGMENT - s->held;
        memcpy(s->block + s->held, at, n);
        s->held += n;
        at += n;
        len -= n;
    }
    return ERR_OK;
}

enum err_code seal_stream_writer_end(struct seal_stream_writer *w,
                                     struct buf *out, struct err *err)
{
    return write_segment(w, true, out, err);
}

enum err_code seal_stream_seal(const struct seal_stream_opts *opts,
                               const void *plain, size_t len, struct buf *out,
                               struct err *err)
{
    struct seal_stream_writer *w = NULL;
    struct seal_stream_salt *s = NULL;
    uint8_t salt[16];
    enum err_code rc;

    rc = seal_stream_salt_new(opts, &s, err);
    if (rc != ERR_OK)
        goto out;
    seal_stream_salt_add(s, plain, len);
    rc = seal_stream_salt_end(s, salt, err);
    if (rc == ERR_OK)
        rc = seal_stream_writer_new(opts, salt, &w, err);
    if (rc == ERR_OK)
        rc = seal_stream_writer_add(w, plain, len, out, err);
    if (rc == ERR_OK)
        rc = seal_stream_writer_end(w, out, err);
out:
    seal_stream_writer_free(w);
    seal_stream_salt_free(s);
    return rc;
}

/* --- reading ---------------------------------------------------------------
 */

struct seal_stream_reader {
    struct segments seg;
    struct seal_stream_opts opts; /* without key and name once head is read */
    struct seal_key base_key;
    char name[SEAL_STREAM_NAME_MAX];
    size_t head_len;
    uint8_t head[SEAL_STREAM_HEAD];
};

enum err_code seal_stream_reader_new(const struct seal_stream_opts *opts,
                                     struct seal_stream_reader **out,
                                     struct err *err)
{
    struct seal_stream_reader *r;
    size_t name_len = strlen(opts->name);

    if (name_len >= SEAL_STREAM_NAME_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "stream: its name is too long");
    r = calloc(1, sizeof(*r));
    if (!r || !segments_init(&r->seg, opts->suite)) {
        seal_stream_reader_free(r);
        return err_set(err, ERR_NOMEM, 0, "stream");
    }
    r->opts = *opts;
    r->base_key = *opts->key;
    r->opts.key = &r->base_key;
    memcpy(r->name, opts->name, name_len + 1);
    r->opts.name = r->name;
    *out = r;
    return ERR_OK;
}

void seal_stream_reader_free(struct seal_stream_reader *r)
{
    if (r) {
        segments_fini(&r->seg);
        seal_key_fini(&r->base_key);
    }
    free(r);
}

static enum err_code open_head(struct seal_stream_reader *r, struct err *err)
{
    uint8_t commitment[32];
    struct id16 key_id;
    enum err_code rc;

    rc = seal_stream_key_id(r->opts.kind, r->head, sizeof(r->head), &key_id,
                            err);
    if (rc != ERR_OK)
        return rc;
    if (!id16_equal(&key_id, &r->opts.key_id))
        return err_set(err, ERR_INTEGRITY, 0, "stream: under another key");
    rc = derive(&r->opts, r->head, &r->seg.key, commitment, err);
    if (rc == ERR_OK && !bytes_equal_ct(commitment, r->head + HEADER, 32))
        rc = err_set(err, ERR_INTEGRITY, 0,
                     "stream: its commitment is wrong (another name, vault or "
                     "key, or damage)");
    return rc;
}

static enum err_code read_segment(struct seal_stream_reader *r, bool last,
                                  struct buf *out, struct err *err)
{
    struct segments *s = &r->seg;
    uint8_t nonce[SEAL_CIPHER_NONCE];
    bool empty = s->held == SEAL_CIPHER_TAG;
    size_t before = out->len;
    uint8_t *at;

    if (s->held < SEAL_CIPHER_TAG || (empty && s->counter > 0))
        return err_set(err, ERR_INTEGRITY, 0, "stream: cut short");
    at = buf_extend(out, s->held - SEAL_CIPHER_TAG);
    if (!at)
        return err_set(err, ERR_NOMEM, 0, "stream: too long or no memory");
    put_nonce(s->counter, last, nonce);
    if (!seal_cipher_open(s->cipher, &s->key, nonce, (struct slice){NULL, 0},
                          (struct slice){s->block, s->held}, at)) {
        bytes_wipe(at, out->len - before);
        out->len = before;
        return err_set(err, ERR_INTEGRITY, 0,
                       "stream: the tag of segment %u is wrong", s->counter);
    }
    s->counter++;
    s->held = 0;
    return ERR_OK;
}

enum err_code seal_stream_reader_add(struct seal_stream_reader *r,
                                     const void *sealed, size_t len,
                                     struct buf *out, struct err *err)
{
    struct segments *s = &r->seg;
    const uint8_t *at = sealed;
    enum err_code rc = ERR_OK;

    while (len && rc == ERR_OK) {
        bool in_head = r->head_len < sizeof(r->head);
        uint8_t *to;
        size_t n;

        if (s->held == SEALED_SEGMENT) { /* more comes: not the last */
            rc = read_segment(r, false, out, err);
            if (rc != ERR_OK)
                break;
        }
        n = in_head ? sizeof(r->head) - r->head_len : SEALED_SEGMENT - s->held;
        if (n > len)
            n = len;
        to = in_head ? r->head + r->head_len : s->block + s->held;
        memcpy(to, at, n);
        at += n;
        len -= n;
        if (!in_head)
            s->held += n;
        else if ((r->head_len += n) == sizeof(r->head))
            rc = open_head(r, err);
    }
    return rc;
}

enum err_code seal_stream_reader_end(struct seal_stream_reader *r,
                                     struct buf *out, struct err *err)
{
    if (r->head_len < sizeof(r->head))
        return err_set(err, ERR_INTEGRITY, 0, "stream: cut short");
    return read_segment(r, true, out, err);
}

enum err_code seal_stream_open(const struct seal_stream_opts *opts,
                               const void *sealed, size_t len, struct buf *out,
                               struct err *err)
{
    struct seal_stream_reader *r = NULL;
    size_t before = out->len;
    enum err_code rc;

    rc = seal_stream_reader_new(opts, &r, err);
    if (rc == ERR_OK)
        rc = seal_stream_reader_add(r, sealed, len, out, err);
    if (rc == ERR_OK)
        rc = seal_stream_reader_end(r, out, err);
    if (rc != ERR_OK)
        out->len = before;
    seal_stream_reader_free(r);
    return rc;
}
