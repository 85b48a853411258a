/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_keyfile.h"

#include <string.h>

#include "crypto/seal_file.h"

static const char head_line[] = "cairn key 1";
static const char vault_word[] = "vault ";
static const char phrase_word[] = "passphrase ";
static const char private_word[] = "private ";

void seal_keyfile_fini(struct seal_keyfile *file)
{
    bytes_wipe(file, sizeof(*file));
}

/* The next line without its end, which may be "\n", "\r\n" or the text's. */
static bool next_line(const char **at, const char *end, char *line, size_t size)
{
    const char *p = *at;
    const char *stop = p == end ? NULL : memchr(p, '\n', (size_t)(end - p));
    size_t len;

    if (p == end)
        return false;
    len = stop ? (size_t)(stop - p) : (size_t)(end - p);
    *at = p + len + (stop ? 1 : 0);
    if (len && p[len - 1] == '\r')
        len--;
    if (len >= size || memchr(p, 0, len))
        return false;
    memcpy(line, p, len);
    line[len] = 0;
    return true;
}

/* The rest of a line that begins with a word; NULL: another line. */
static const char *after(const char *line, const char *word)
{
    size_t len = strlen(word);

    return strncmp(line, word, len) == 0 ? line + len : NULL;
}

static bool is_passphrase(const char *text)
{
    if (!*text || strlen(text) >= SEAL_KEYFILE_PASSPHRASE)
        return false;
    for (const char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            return false;
    return true;
}

static bool parse_secret(const char *line, struct seal_keyfile *out)
{
    const char *rest = after(line, private_word);

    if (rest) {
        out->is_private = true;
        return bytes_unhex(rest, out->private.b, sizeof(out->private.b));
    }
    rest = after(line, phrase_word);
    if (!rest || !is_passphrase(rest))
        return false;
    memcpy(out->passphrase, rest, strlen(rest) + 1);
    return true;
}

enum err_code seal_keyfile_parse(const char *text, size_t len,
                                 struct seal_keyfile *out, struct err *err)
{
    const char *at = text, *end = text + len, *rest;
    char line[SEAL_KEYFILE_PASSPHRASE + 16];
    struct seal_keyfile file = {0};
    const char *wrong = NULL;

    if (!next_line(&at, end, line, sizeof(line)) ||
        strcmp(line, head_line) != 0)
        wrong = "line 1: wanted `cairn key 1`";
    else if (!next_line(&at, end, line, sizeof(line)) ||
             !(rest = after(line, vault_word)) ||
             !bytes_unhex(rest, file.vault_id.b, sizeof(file.vault_id.b)))
        wrong = "line 2: wanted `vault` and 32 hex digits";
    else if (!next_line(&at, end, line, sizeof(line)) ||
             !parse_secret(line, &file))
        wrong = "line 3: wanted `passphrase` and words, or `private` and 64 "
                "hex digits";
    else if (at != end)
        wrong = "line 4: nothing should follow";
    else
        *out = file;
    bytes_wipe(line, sizeof(line));
    seal_keyfile_fini(&file);
    return wrong ? err_set(err, ERR_KEY, 0, "no key file: %s", wrong) : ERR_OK;
}

enum err_code seal_keyfile_print(const struct seal_keyfile *file,
                                 struct buf *out, struct err *err)
{
    char hex[65];

    bytes_hex(file->vault_id.b, sizeof(file->vault_id.b), hex);
    buf_addf(out, "%s\n%s%s\n", head_line, vault_word, hex);
    if (file->is_private) {
        bytes_hex(file->private.b, sizeof(file->private.b), hex);
        buf_addf(out, "%s%s\n", private_word, hex);
    } else {
        buf_addf(out, "%s%s\n", phrase_word, file->passphrase);
    }
    bytes_wipe(hex, sizeof(hex));
    return buf_failed(out) ? err_set(err, ERR_NOMEM, 0, "key file") : ERR_OK;
}

enum err_code seal_keyfile_load(const char *path, struct seal_keyfile *out,
                                struct err *err)
{
    struct buf text;
    enum err_code rc;

    buf_init_secret(&text, SEAL_FILE_MAX);
    rc = seal_file_read(path, false, &text, err);
    if (rc == ERR_OK) {
        rc = seal_keyfile_parse(text.len ? (const char *)text.data : "",
                                text.len, out, err);
        if (rc != ERR_OK)
            err_context(err, "%s", path);
    }
    buf_fini(&text);
    return rc;
}

enum err_code seal_keyfile_save(const char *path,
                                const struct seal_keyfile *file,
                                struct err *err)
{
    struct buf text;
    enum err_code rc;

    buf_init_secret(&text, SEAL_FILE_MAX);
    rc = seal_keyfile_print(file, &text, err);
    if (rc == ERR_OK)
        rc = seal_file_write(path, text.data, text.len, err);
    buf_fini(&text);
    return rc;
}

void seal_keyfile_word(unsigned n, char out[5])
{
    static const char consonants[] = "bcdfghjklmnprstvwyz";
    static const char vowels[] = "aeiou";

    for (int syllable = 1; syllable >= 0; syllable--) {
        unsigned s = n % 95;

        out[2 * syllable] = consonants[s / 5];
        out[2 * syllable + 1] = vowels[s % 5];
        n /= 95;
    }
    out[4] = 0;
}

enum err_code seal_keyfile_passphrase(char out[SEAL_KEYFILE_PASSPHRASE],
                                      struct err *err)
{
    char *at = out;

    for (int i = 0; i < SEAL_KEYFILE_WORDS; i++) {
        uint16_t n;

        do { /* even: what lies above the last full run is drawn again */
            enum err_code rc = seal_key_random(&n, sizeof(n), err);

            if (rc != ERR_OK)
                return rc;
        } while (n >=
                 65536 / SEAL_KEYFILE_WORD_COUNT * SEAL_KEYFILE_WORD_COUNT);
        seal_keyfile_word(n % SEAL_KEYFILE_WORD_COUNT, at);
        at += 4;
        *at++ = i + 1 < SEAL_KEYFILE_WORDS ? ' ' : 0;
    }
    return ERR_OK;
}
