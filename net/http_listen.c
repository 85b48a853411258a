/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/parse.h"

#define BACKLOG 256

static enum err_code io_error(struct err *err, const char *name)
{
    return err_set(err, ERR_IO, errno, "%s: %s", name, strerror(errno));
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Remove a socket that nobody listens on. */
static enum err_code clear_path(const char *path,
                                const struct sockaddr_un *addr, struct err *err)
{
    struct stat st;
    int fd, why;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? ERR_OK : io_error(err, path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_CONFLICT, 0, "%s: exists and is no socket",
                       path);
    fd = open_socket(AF_UNIX);
    if (fd < 0)
        return io_error(err, path);
    /* EAGAIN: somebody listens, too busy to take us. */
    why = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0
              ? EAGAIN
              : errno;
    close(fd);
    if (why == EAGAIN)
        return err_set(err, ERR_CONFLICT, 0, "%s: another server listens",
                       path);
    if (why != ECONNREFUSED && why != ENOENT) {
        errno = why;
        return io_error(err, path);
    }
    if (unlink(path) != 0 && errno != ENOENT)
        return io_error(err, path);
    return ERR_OK;
}

enum err_code http_listen_unix(const char *path, int *fd,
                               struct http_listen_file *file, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    enum err_code rc;
    struct stat st;
    int s;

    if (strlen(path) >= sizeof(addr.sun_path) || !*path)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: the path of a unix socket has 1 to %zu bytes", path,
                       sizeof(addr.sun_path) - 1);
    memcpy(addr.sun_path, path, strlen(path));
    rc = clear_path(path, &addr, err);
    if (rc != ERR_OK)
        return rc;
    s = open_socket(AF_UNIX);
    if (s < 0)
        return io_error(err, path);
    /* Linux makes the file with the mode of the socket, less the umask; chmod
     * gives back what the umask took. Never is it open to everybody. */
    if (fchmod(s, 0660) != 0 ||
        bind(s, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
        rc = errno == EADDRINUSE ? err_set(err, ERR_CONFLICT, errno, "%s: %s",
                                           path, strerror(errno))
                                 : io_error(err, path);
        close(s);
        return rc;
    }
    if (chmod(path, 0660) != 0 || lstat(path, &st) != 0 ||
        listen(s, BACKLOG) != 0) {
        rc = io_error(err, path);
        unlink(path);
        close(s);
        return rc;
    }
    *file = (struct http_listen_file){st.st_dev, st.st_ino};
    *fd = s;
    return ERR_OK;
}

void http_listen_remove(const char *path, const struct http_listen_file *file)
{
    struct stat st;

    if (lstat(path, &st) == 0 && st.st_dev == file->dev &&
        st.st_ino == file->ino)
        unlink(path);
}

/* Numbers only: a name's resolver could hang. */
static struct addrinfo *resolve(const char *address)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const char *colon = strrchr(address, ':');
    struct addrinfo *found = NULL;
    uint64_t port;
    char host[64];
    size_t len;

    if (!colon || !parse_u64(colon + 1, 0, 65535, &port))
        return NULL;
    len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    } else if (memchr(address, ':', len)) {
        return NULL;
    }
    if (len == 0 || len >= sizeof(host))
        return NULL;
    memcpy(host, address, len);
    host[len] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return NULL;
    return found;
}

bool http_listen_address_ok(const char *address)
{
    struct addrinfo *found = resolve(address);

    if (found)
        freeaddrinfo(found);
    return found != NULL;
}

static unsigned bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } addr = {0};
    socklen_t len = sizeof(addr);

    if (getsockname(fd, &addr.any, &len) != 0)
        return 0;
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port
                                                : addr.v4.sin_port);
}

enum err_code http_listen_tcp(const char *address, int *fd, unsigned *port,
                              struct err *err)
{
    struct addrinfo *ai = resolve(address);
    enum err_code rc = ERR_OK;
    int yes = 1;
    int s;

    if (!ai)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: wanted an address and a port, as 127.0.0.1:8443",
                       address);
    s = open_socket(ai->ai_family);
    if (s < 0 ||
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(s, ai->ai_addr, ai->ai_addrlen) != 0 || listen(s, BACKLOG) != 0)
        rc = err_set(err, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, errno,
                     "%s: %s", address, strerror(errno));
    freeaddrinfo(ai);
    if (rc != ERR_OK) {
        if (s >= 0)
            close(s);
        return rc;
    }
    *port = bound_port(s);
    *fd = s;
    return ERR_OK;
}
