/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_seen.h"

#ifdef CAIRN_FAILPOINTS

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int file = -1; /* written once, before the first seal */

static void open_file(void)
{
    const char *path = getenv("CAIRN_SEALS");

    if (!path || !*path)
        return;
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        abort();
}

/* The library's own, one call after the other: no context of ours is shared,
 * and a test that makes our allocations fail does not mean this. */
static void half(struct slice a, struct slice b, struct slice c,
                 uint8_t out[SEAL_SEEN_RECORD / 2])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t whole[32];

    if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL) ||
        !EVP_DigestUpdate(md, a.data, a.len) ||
        !EVP_DigestUpdate(md, b.data, b.len) ||
        !EVP_DigestUpdate(md, c.data, c.len) ||
        !EVP_DigestFinal_ex(md, whole, NULL))
        abort();
    EVP_MD_CTX_free(md);
    memcpy(out, whole, SEAL_SEEN_RECORD / 2);
}

void seal_seen_note(const struct seal_key *key,
                    const uint8_t nonce[SEAL_CIPHER_NONCE], struct slice aad,
                    struct slice plain)
{
    uint8_t record[SEAL_SEEN_RECORD], length[4];

    if (pthread_once(&once, open_file) != 0)
        abort();
    if (file < 0)
        return;
    half((struct slice){key->b, sizeof(key->b)},
         (struct slice){nonce, SEAL_CIPHER_NONCE}, (struct slice){NULL, 0},
         record);
    bytes_put_u32(length, (uint32_t)aad.len);
    half((struct slice){length, sizeof(length)}, aad, plain,
         record + SEAL_SEEN_RECORD / 2);
    if (write(file, record, sizeof(record)) != (ssize_t)sizeof(record))
        abort();
}

#endif
