/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

#define FILE_MAX ((size_t)64 << 10)

void s3_credentials_wipe(struct s3_credentials *c)
{
    bytes_wipe(c, sizeof(*c));
}

/* A line or a part of one, without the spaces around it. */
struct span {
    const char *at;
    size_t len;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(const char *at, size_t len)
{
    while (len && is_blank(*at)) {
        at++;
        len--;
    }
    while (len && is_blank(at[len - 1]))
        len--;
    return (struct span){at, len};
}

static bool span_is(struct span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

/* A value is one word of printable ASCII: it goes into a header. */
static bool take_value(struct span v, char *out, size_t size)
{
    if (!v.len || v.len >= size || *out)
        return false;
    for (size_t i = 0; i < v.len; i++)
        if (v.at[i] <= ' ' || v.at[i] > '~')
            return false;
    memcpy(out, v.at, v.len);
    out[v.len] = 0;
    return true;
}

static enum err_code read_pair(struct span line, unsigned number,
                               struct s3_credentials *c, struct err *err)
{
    const struct {
        const char *key;
        char *out;
        size_t size;
    } rows[] = {
        {"aws_access_key_id", c->access_key, sizeof(c->access_key)},
        {"aws_secret_access_key", c->secret, sizeof(c->secret)},
        {"aws_session_token", c->token, sizeof(c->token)},
    };
    const char *equals = memchr(line.at, '=', line.len);
    struct span key, value;

    if (!equals)
        return err_set(err, ERR_ARGUMENT, 0,
                       "credentials, line %u: there is no '='", number);
    key = trim(line.at, (size_t)(equals - line.at));
    value = trim(equals + 1, (size_t)(line.at + line.len - equals - 1));
    for (size_t i = 0; i < BYTES_COUNT(rows); i++)
        if (span_is(key, rows[i].key) &&
            !take_value(value, rows[i].out, rows[i].size))
            return err_set(err, ERR_ARGUMENT, 0,
                           "credentials, line %u: the value of %s is empty, "
                           "too long, not one word, or there are two",
                           number, rows[i].key);
    return ERR_OK;
}

/* "[name]" and AWS's "[profile name]". */
static bool is_profile(struct span line, const char *profile)
{
    struct span name = trim(line.at + 1, line.len - 2);

    if (name.len > 8 && memcmp(name.at, "profile ", 8) == 0)
        name = trim(name.at + 8, name.len - 8);
    return span_is(name, profile);
}

static enum err_code parse_lines(const char *text, size_t len,
                                 const char *profile,
                                 struct s3_credentials *out, struct err *err)
{
    bool inside = false, seen = false;
    unsigned number = 0;
    enum err_code rc = ERR_OK;

    while (len && rc == ERR_OK) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        struct span line = trim(text, n);

        number++;
        text += end ? n + 1 : n;
        len -= end ? n + 1 : n;
        if (!line.len || *line.at == '#' || *line.at == ';')
            continue;
        if (*line.at == '[') {
            if (line.len < 3 || line.at[line.len - 1] != ']')
                return err_set(err, ERR_ARGUMENT, 0,
                               "credentials, line %u: a profile is written "
                               "[name]",
                               number);
            inside = is_profile(line, profile);
            seen = seen || inside;
        } else if (inside) {
            rc = read_pair(line, number, out, err);
        }
    }
    if (rc == ERR_OK && !seen)
        rc = err_set(err, ERR_ARGUMENT, 0, "credentials: no profile [%s]",
                     profile);
    return rc;
}

enum err_code s3_credentials_parse(const char *text, size_t len,
                                   const char *profile,
                                   struct s3_credentials *out, struct err *err)
{
    struct s3_credentials c = {0};
    enum err_code rc;

    if (!profile)
        profile = "default";
    if (memchr(text, 0, len))
        rc = err_set(err, ERR_ARGUMENT, 0, "credentials: not a text");
    else
        rc = parse_lines(text, len, profile, &c, err);
    if (rc == ERR_OK && (!c.access_key[0] || !c.secret[0]))
        rc = err_set(
            err, ERR_ARGUMENT, 0, "credentials: profile [%s] lacks %s", profile,
            c.access_key[0] ? "aws_secret_access_key" : "aws_access_key_id");
    if (rc == ERR_OK)
        *out = c;
    s3_credentials_wipe(&c);
    return rc;
}

enum err_code s3_credentials_load(const char *path, const char *profile,
                                  struct s3_credentials *out, struct err *err)
{
    char text[FILE_MAX + 1];
    size_t len = 0;
    ssize_t n = 0;
    enum err_code rc;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        char why[96];

        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
                       "%s: %s", path, strerror_r(errno, why, sizeof(why)));
    }
    while (len < sizeof(text) &&
           (n = read(fd, text + len, sizeof(text) - len)) > 0)
        len += (size_t)n;
    close(fd);
    if (n < 0)
        rc = err_set(err, ERR_IO, errno, "reading credentials");
    else if (len == sizeof(text))
        rc = err_set(err, ERR_ARGUMENT, 0, "over 64 KiB");
    else
        rc = s3_credentials_parse(text, len, profile, out, err);
    bytes_wipe(text, sizeof(text));
    if (rc != ERR_OK)
        err_context(err, "%s", path);
    return rc;
}
