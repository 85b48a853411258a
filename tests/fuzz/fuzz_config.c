/* SPDX-License-Identifier: Apache-2.0 */
/* Any configuration file: refused with a sentence, or all within bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "gateway/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct config *c)
{
    require(parse_name(c->gateway));
    require(c->state[0] == '/' && c->socket[0] == '/');
    require(strlen(c->socket) < 108 && c->gateway_key[0]);
    require(!c->listen[0] || (c->listen_cert[0] && c->listen_key[0]));
    require(c->memory >= 64 * MIB && c->memory <= TIB);
    require(c->chunk_bytes >= 64 * KIB && c->chunk_bytes <= MIB);
    require((c->chunk_bytes & (c->chunk_bytes - 1)) == 0);
    require(c->jobs_at_once >= 1 && c->compression <= 19);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("config", 0);
    struct config *c = NULL;
    struct err err = {0};
    char path[40];

    require(fd >= 0);
    require(size == 0 || write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (config_load(path, &c, &err) == ERR_OK)
        check(c);
    else
        require(!c && err.code != ERR_OK &&
                strncmp(err.text, path, strlen(path)) == 0);
    config_free(c);
    close(fd);
    return 0;
}
