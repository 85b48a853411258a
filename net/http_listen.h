/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_listen.h - sockets that listen, for the HTTP server.
 */
#ifndef CAIRN_NET_HTTP_LISTEN_H
#define CAIRN_NET_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* What names a unix socket's file, so that only ours is removed. */
struct http_listen_file {
    dev_t dev;
    ino_t ino;
};

/*
 * A unix socket, mode 0660 from its first moment. One that nobody listens on
 * is replaced; ERR_CONFLICT when somebody does, or when the path is no socket.
 * ERR_ARGUMENT: the path is too long; ERR_IO.
 */
enum err_code http_listen_unix(const char *path, int *fd,
                               struct http_listen_file *file, struct err *err);
/* Remove the path if it is still that file. */
void http_listen_remove(const char *path, const struct http_listen_file *file);

/* Is it an address and a port, in numbers, as below? */
bool http_listen_address_ok(const char *address);

/* "127.0.0.1:8443", "[::1]:0"; the port that was bound comes back.
 * ERR_ARGUMENT: no such address; ERR_CONFLICT: in use; ERR_IO. */
enum err_code http_listen_tcp(const char *address, int *fd, unsigned *port,
                              struct err *err);

#endif
