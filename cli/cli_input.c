/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_input.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/sync.h"

enum err_code cli_input_file(const char *path, struct buf *out,
                             struct err *err)
{
    bool from_stdin = strcmp(path, "-") == 0;
    int fd = from_stdin ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    enum err_code rc = ERR_OK;
    uint8_t piece[4096];
    ssize_t n = 0;

    if (fd < 0)
        return err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    do {
        n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0 && memchr(piece, 0, (size_t)n))
            rc = err_set(err, ERR_ARGUMENT, 0, "%s: not a text file", path);
        else if (n > 0 && !buf_add(out, piece, (size_t)n))
            rc = err_set(err, ERR_ARGUMENT, 0, "%s: too long", path);
    } while (n != 0 && rc == ERR_OK && !(n < 0 && errno != EINTR));
    if (n < 0 && rc == ERR_OK)
        rc = err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    bytes_wipe(piece, sizeof(piece));
    if (!from_stdin)
        close(fd);
    return rc;
}

enum err_code cli_input_secret(const char *path, struct buf *out,
                               struct err *err)
{
    enum err_code rc = cli_input_file(path, out, err);
    size_t len;

    if (rc != ERR_OK)
        return rc;
    len = out->len ? strcspn(buf_text(out), "\r\n") : 0;
    if (len == 0)
        return err_set(err, ERR_ARGUMENT, 0, "%s: empty", path);
    out->len = len;
    return ERR_OK;
}

/* Only there so that a Ctrl-C ends the read below. */
static void on_interrupt(int number)
{
    (void)number;
}

/* A line from the terminal; without SA_RESTART a Ctrl-C ends it. */
static enum err_code read_line(struct buf *out, struct err *err)
{
    struct sigaction act = {.sa_handler = on_interrupt}, before;
    enum err_code rc = ERR_OK;
    char c;
    ssize_t n;

    sigaction(SIGINT, &act, &before);
    while ((n = read(0, &c, 1)) == 1 && c != '\n' && rc == ERR_OK)
        if (!buf_add(out, &c, 1))
            rc = err_set(err, ERR_ARGUMENT, 0, "too long");
    if (n < 0 && errno == EINTR)
        rc = err_set(err, ERR_CANCELLED, 0, "interrupted");
    else if (n < 0)
        rc = err_set(err, ERR_IO, errno, "terminal: %s", strerror(errno));
    else if (rc == ERR_OK && out->len == 0)
        rc = err_set(err, ERR_ARGUMENT, 0, "nothing was typed");
    sigaction(SIGINT, &before, NULL);
    return rc;
}

enum err_code cli_input_password(const struct cli_run *run,
                                 const char *prompt, struct buf *out,
                                 struct err *err)
{
    struct termios loud, quiet;
    enum err_code rc;

    if (!run->in_tty || tcgetattr(0, &loud) < 0)
        return err_set(err, ERR_ARGUMENT, 0,
                       "nobody is there to type a password: give "
                       "--password-file");
    quiet = loud;
    quiet.c_lflag &= (tcflag_t)~ECHO;
    /* Quiet before anybody is asked. */
    tcsetattr(0, TCSAFLUSH, &quiet);
    fprintf(stderr, "%s: ", prompt);
    fflush(stderr);
    rc = read_line(out, err);
    tcsetattr(0, TCSAFLUSH, &loud);
    fprintf(stderr, "\n");
    return rc;
}

bool cli_input_line(const struct cli_run *run, const char *prompt, char *out,
                    size_t size)
{
    struct buf line;
    struct err err;
    bool ok;

    if (!run->in_tty)
        return false;
    fprintf(stderr, "%s", prompt);
    fflush(stderr);
    buf_init(&line, size - 1);
    ok = read_line(&line, &err) == ERR_OK;
    snprintf(out, size, "%s", ok ? buf_text(&line) : "");
    buf_fini(&line);
    return ok;
}

bool cli_input_yes(const struct cli_run *run, const char *question)
{
    char prompt[256], line[16];

    snprintf(prompt, sizeof(prompt), "%s [y/N] ", question);
    return cli_input_line(run, prompt, line, sizeof(line)) &&
           (strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0);
}

enum err_code cli_input_reserve(const char *path, int *fd, struct err *err)
{
    int got = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (got < 0)
        return err_set(err, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno,
                       "%s: %s%s", path, strerror(errno),
                       errno == EEXIST ? "; nothing is ever replaced" : "");
    *fd = got;
    return ERR_OK;
}

enum err_code cli_input_keep(const char *path, int fd, const char *text,
                             struct err *err)
{
    size_t len = strlen(text), done = 0;
    int failed = 0;

    while (done < len && !failed) {
        ssize_t n = write(fd, text + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno != EINTR)
            failed = errno;
    }
    if (!failed && fsync(fd) < 0)
        failed = errno;
    if (close(fd) < 0 && !failed)
        failed = errno;
    if (!failed && sync_folder_of(path) < 0)
        failed = errno;
    if (!failed)
        return ERR_OK;
    unlink(path);
    return err_set(err, ERR_IO, failed, "%s: %s", path, strerror(failed));
}

void cli_input_drop(const char *path, int fd)
{
    close(fd);
    unlink(path);
}
