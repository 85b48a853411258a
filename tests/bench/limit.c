/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of DESIGN.md, "Measures": a disk's data through the bare primitives
 * in one thread, without I/O; nothing of Cairn is linked. What is counted is
 * the CPU time of this thread inside the primitives, in items of 1 MiB.
 *
 *   limit full|unchanged|restore disk.raw      one line of JSON
 *
 * full:      HMAC-SHA256 of each chunk that is not zero, zstd level 1 of each
 *            that is the first with its id, AES-256-GCM and SHA-256 of what is
 *            stored, XXH64 of each block of the XVA
 * unchanged: HMAC-SHA256 and XXH64 alone
 * restore:   AES-256-GCM of each chunk that is not zero, zstd of those that
 *            were compressed, HMAC-SHA256 of what comes out, SHA-256 of what
 *            is stored, XXH64 of each block of the XVA
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <xxhash.h>
#include <zstd.h>

#include "tests/bench/limit_hmac.h"

#define CHUNK ((size_t)128 << 10)
#define BLOCK ((size_t)1 << 20)
#define CHUNKS (BLOCK / CHUNK)
#define TAG 16

enum part { HMAC, ZSTD, AES, SHA, XXH, PARTS };
static const char *const part_names[PARTS] = {"hmac", "zstd", "aes", "sha256",
                                              "xxh64"};

struct chunk {
    uint8_t *raw;
    size_t len;
    bool zero, first;    /* first: the first with its id */
    uint8_t id[32];
    uint8_t *body;       /* raw, or compressed */
    size_t body_len;
    uint8_t sealed[CHUNK + TAG];
    uint8_t packed[CHUNK];
    uint32_t slot;
};

struct limit {
    bool full, restore;
    int fd;
    uint64_t size, nonzero, chunks, repeated, tried, stored, blocks_bytes;
    struct limit_hmac *hmac;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    EVP_CIPHER_CTX *seal, *open;
    EVP_MD_CTX *sha;
    uint8_t *ids; /* open addressing, 16 bytes each, all zero: free */
    uint64_t id_room;
    double cpu[PARTS];
    uint8_t *block;
    struct chunk chunk[CHUNKS];
};

static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("limit: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static void need(bool ok, const char *what)
{
    if (!ok)
        die("%s failed", what);
}

static double thread_cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Whether no chunk before had this id. */
static bool is_first(struct limit *l, const uint8_t id[32])
{
    static const uint8_t none[16];
    uint64_t at;

    memcpy(&at, id, sizeof(at));
    for (at %= l->id_room;; at = (at + 1) % l->id_room) {
        uint8_t *place = l->ids + at * 16;

        if (memcmp(place, none, 16) == 0) {
            memcpy(place, id, 16);
            return true;
        }
        if (memcmp(place, id, 16) == 0)
            return false;
    }
}

/* --- the primitives, over one block ---------------------------------------- */

static void do_hmac(struct limit *l)
{
    static const uint8_t kind = 0;

    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];

        if (c->zero)
            continue;
        limit_hmac_begin(l->hmac);
        limit_hmac_add(l->hmac, &kind, 1);
        limit_hmac_add(l->hmac, c->raw, c->len);
        limit_hmac_end(l->hmac, c->id);
    }
}

/* Raw is kept unless compressing wins 3 %: docs/format.md, 2. */
static void do_compress(struct limit *l)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];
        size_t got;

        if (!c->first)
            continue;
        got = ZSTD_compressCCtx(l->compress, c->packed,
                                c->len - (c->len * 3 + 99) / 100, c->raw,
                                c->len, 1);
        c->body = ZSTD_isError(got) ? c->raw : c->packed;
        c->body_len = ZSTD_isError(got) ? c->len : got;
    }
}

static void do_seal(struct limit *l)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];
        uint8_t nonce[12] = {0}, aad[5] = {0};
        int n;

        if (!c->first)
            continue;
        memcpy(nonce, &c->slot, 4);
        memcpy(nonce + 4, c->id, 8);
        need(EVP_EncryptInit_ex2(l->seal, NULL, NULL, nonce, NULL) &&
                 EVP_EncryptUpdate(l->seal, NULL, &n, aad, sizeof(aad)) &&
                 EVP_EncryptUpdate(l->seal, c->sealed, &n, c->body,
                                   (int)c->body_len) &&
                 EVP_EncryptFinal_ex(l->seal, c->sealed + c->body_len, &n) &&
                 EVP_CIPHER_CTX_ctrl(l->seal, EVP_CTRL_AEAD_GET_TAG, TAG,
                                     c->sealed + c->body_len),
             "AES-GCM");
    }
}

static void do_sha(struct limit *l)
{
    for (size_t i = 0; i < CHUNKS; i++)
        if (l->chunk[i].first)
            need(EVP_DigestUpdate(l->sha, l->chunk[i].sealed,
                                  l->chunk[i].body_len + TAG),
                 "SHA-256");
}

static void do_open(struct limit *l)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];
        uint8_t nonce[12] = {0}, aad[5] = {0}, *tag = c->sealed + c->body_len;
        int n;

        if (c->zero)
            continue;
        memcpy(nonce, &c->slot, 4);
        memcpy(nonce + 4, c->id, 8);
        need(EVP_DecryptInit_ex2(l->open, NULL, NULL, nonce, NULL) &&
                 EVP_DecryptUpdate(l->open, NULL, &n, aad, sizeof(aad)) &&
                 EVP_DecryptUpdate(l->open, c->body, &n, c->sealed,
                                   (int)c->body_len) &&
                 EVP_CIPHER_CTX_ctrl(l->open, EVP_CTRL_AEAD_SET_TAG, TAG,
                                     tag) &&
                 EVP_DecryptFinal_ex(l->open, tag, &n) > 0,
             "AES-GCM, opening");
    }
}

static void do_decompress(struct limit *l)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];

        if (!c->zero && c->body != c->raw)
            need(ZSTD_decompressDCtx(l->decompress, c->raw, c->len, c->packed,
                                     c->body_len) == c->len,
                 "zstd, decompressing");
    }
}

static void timed(struct limit *l, enum part part, void (*run)(struct limit *))
{
    double before = thread_cpu();

    run(l);
    l->cpu[part] += thread_cpu() - before;
}

/* --- one block ----------------------------------------------------------------- */

static size_t load(struct limit *l, uint64_t at)
{
    size_t want = l->size - at < BLOCK ? (size_t)(l->size - at) : BLOCK;
    size_t have = 0;

    while (have < want) {
        ssize_t n = pread(l->fd, l->block + have, want - have,
                          (off_t)(at + have));

        if (n <= 0)
            die("reading: %s", n ? strerror(errno) : "the file got shorter");
        have += (size_t)n;
    }
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];
        size_t begin = i * CHUNK;

        c->raw = l->block + begin;
        c->len = begin >= have          ? 0
                 : have - begin < CHUNK ? have - begin
                                        : CHUNK;
        c->zero = !c->len || all_zero(c->raw, c->len);
        c->first = false;
    }
    return have;
}

static void count_chunks(struct limit *l)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *c = &l->chunk[i];

        if (c->zero)
            continue;
        l->chunks++;
        l->nonzero += c->len;
        c->first = is_first(l, c->id);
        l->repeated += c->first ? 0 : c->len;
        l->tried += c->first ? c->len : 0;
        c->slot = (uint32_t)l->chunks;
    }
}

static void do_block_sum(struct limit *l, size_t len)
{
    static volatile uint64_t sink;
    double before = thread_cpu();

    sink ^= XXH64(l->block, len, 0);
    l->cpu[XXH] += thread_cpu() - before;
    l->blocks_bytes += len;
}

static void back_up(struct limit *l)
{
    timed(l, HMAC, do_hmac);
    count_chunks(l);
    if (!l->full)
        return;
    timed(l, ZSTD, do_compress);
    timed(l, AES, do_seal);
    timed(l, SHA, do_sha);
    for (size_t i = 0; i < CHUNKS; i++)
        if (l->chunk[i].first)
            l->stored += l->chunk[i].body_len + TAG;
}

/* What is stored is made first, uncounted. Equal chunks are stored once and
 * come out each time, so they are all sealed here. */
static void bring_back(struct limit *l)
{
    bool first[CHUNKS];

    do_hmac(l);
    count_chunks(l);
    for (size_t i = 0; i < CHUNKS; i++) {
        first[i] = l->chunk[i].first;
        l->chunk[i].first = !l->chunk[i].zero;
    }
    do_compress(l);
    do_seal(l);
    for (size_t i = 0; i < CHUNKS; i++) {
        l->chunk[i].first = first[i];
        if (first[i])
            l->stored += l->chunk[i].body_len + TAG;
    }
    timed(l, SHA, do_sha);
    timed(l, AES, do_open);
    timed(l, ZSTD, do_decompress);
    timed(l, HMAC, do_hmac);
}

/* --- all of it ------------------------------------------------------------------- */

static void set_up(struct limit *l, const char *path)
{
    static const uint8_t key[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_MD *sha = EVP_MD_fetch(NULL, "SHA256", NULL);
    struct stat st;

    l->fd = open(path, O_RDONLY);
    if (l->fd < 0 || fstat(l->fd, &st) != 0)
        die("%s: %s", path, strerror(errno));
    l->size = (uint64_t)st.st_size;
    l->id_room = 2 * (l->size / CHUNK) + 16;
    l->ids = calloc(l->id_room, 16);
    l->block = aligned_alloc(64, BLOCK);
    l->compress = ZSTD_createCCtx();
    l->decompress = ZSTD_createDCtx();
    l->seal = EVP_CIPHER_CTX_new();
    l->open = EVP_CIPHER_CTX_new();
    l->sha = EVP_MD_CTX_new();
    l->hmac = limit_hmac_new(key, sizeof(key));
    need(l->ids && l->block && l->compress && l->decompress && l->seal &&
             l->open && l->sha && l->hmac && aes && sha &&
             EVP_EncryptInit_ex2(l->seal, aes, key, NULL, NULL) &&
             EVP_DecryptInit_ex2(l->open, aes, key, NULL, NULL) &&
             EVP_DigestInit_ex2(l->sha, sha, NULL),
         "setting up");
    EVP_CIPHER_free(aes);
    EVP_MD_free(sha);
}

static void tear_down(struct limit *l)
{
    EVP_CIPHER_CTX_free(l->seal);
    EVP_CIPHER_CTX_free(l->open);
    EVP_MD_CTX_free(l->sha);
    ZSTD_freeCCtx(l->compress);
    ZSTD_freeDCtx(l->decompress);
    limit_hmac_free(l->hmac);
    free(l->ids);
    free(l->block);
    close(l->fd);
    free(l);
}

static void tell(const struct limit *l, const char *mode)
{
    double total = 0;

    printf("{\"mode\": \"%s\", \"disk_bytes\": %" PRIu64
           ", \"nonzero_bytes\": %" PRIu64 ", \"chunks\": %" PRIu64
           ", \"repeated_bytes\": %" PRIu64 ", \"tried_bytes\": %" PRIu64
           ", \"stored_bytes\": %" PRIu64 ", \"block_bytes\": %" PRIu64
           ", \"cpu_s\": {",
           mode, l->size, l->nonzero, l->chunks, l->repeated, l->tried,
           l->stored, l->blocks_bytes);
    for (int i = 0; i < PARTS; i++) {
        printf("\"%s\": %.6f, ", part_names[i], l->cpu[i]);
        total += l->cpu[i];
    }
    printf("\"all\": %.6f}}\n", total);
}

int main(int argc, char **argv)
{
    struct limit *l = calloc(1, sizeof(*l));

    need(l != NULL, "memory");
    if (argc != 3)
        die("usage: limit full|unchanged|restore disk.raw");
    l->full = strcmp(argv[1], "full") == 0;
    l->restore = strcmp(argv[1], "restore") == 0;
    if (!l->full && !l->restore && strcmp(argv[1], "unchanged") != 0)
        die("full, unchanged or restore, not %s", argv[1]);
    set_up(l, argv[2]);
    for (uint64_t at = 0; at < l->size; at += BLOCK) {
        size_t len = load(l, at);
        bool edge = at == 0 || at + len == l->size;

        if (edge || !all_zero(l->block, len))
            do_block_sum(l, len); /* an export leaves zero blocks out */
        if (l->restore)
            bring_back(l);
        else
            back_up(l);
    }
    tell(l, argv[1]);
    tear_down(l);
    return 0;
}
