/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_keyfile.h - key files (format.md 3) and passphrases.
 *
 *   cairn key 1
 *   vault a6cf46c72f1025063ca57acc80feee45
 *   passphrase badu cefi gohu jake lomi nupa rise
 *
 * or `private <64 hex digits>` in the last line.
 */
#ifndef CAIRN_CRYPTO_SEAL_KEYFILE_H
#define CAIRN_CRYPTO_SEAL_KEYFILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "crypto/seal_key.h"

#define SEAL_KEYFILE_PASSPHRASE 256 /* bytes, with the NUL */
#define SEAL_KEYFILE_WORDS 7

struct seal_keyfile {
    struct id16 vault_id;
    bool is_private; /* else: passphrase */
    struct seal_key private;
    char passphrase[SEAL_KEYFILE_PASSPHRASE];
};

/* Wipe; a zeroed one is fine. */
void seal_keyfile_fini(struct seal_keyfile *file);

/* ERR_KEY with the line that is wrong (never its words). */
enum err_code seal_keyfile_parse(const char *text, size_t len,
                                 struct seal_keyfile *out, struct err *err);

/* The text; `out` must wipe what it held (buf_init_secret). ERR_NOMEM. */
enum err_code seal_keyfile_print(const struct seal_keyfile *file,
                                 struct buf *out, struct err *err);

/* Read a key file. Its mode is the owner's affair: a key on a medium without
 * modes must do in an emergency. ERR_IO, ERR_NOT_FOUND, ERR_KEY. */
enum err_code seal_keyfile_load(const char *path, struct seal_keyfile *out,
                                struct err *err);

/* Write a file that must not exist, mode 0600, synced with its folder.
 * ERR_CONFLICT (exists), ERR_IO. */
enum err_code seal_keyfile_save(const char *path,
                                const struct seal_keyfile *file,
                                struct err *err);

/*
 * A new passphrase: seven words of two syllables each, drawn evenly from the
 * 9,025 words consonant-vowel-consonant-vowel over 19 consonants and 5 vowels:
 * 13.13 bits a word, 91.9 bits in all. ERR_IO.
 */
enum err_code seal_keyfile_passphrase(char out[SEAL_KEYFILE_PASSPHRASE],
                                      struct err *err);

/* The word of a number below 9,025; out has 5 bytes. */
#define SEAL_KEYFILE_WORD_COUNT 9025
void seal_keyfile_word(unsigned n, char out[5]);

#endif
