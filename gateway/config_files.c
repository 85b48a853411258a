/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/seal_key.h"
#include "gateway/state_dir.h"
#include "net/http_tls_pair.h"

/* Put file and line before the text: whatever it is, the configuration has to
 * be changed, or what it names. */
static enum err_code at(struct err *err, const char *path, unsigned line,
                        const char *key)
{
    if (err->code != ERR_NOMEM)
        err->code = ERR_ARGUMENT;
    return line ? err_context(err, "%s:%u: %s", path, line, key)
                : err_context(err, "%s: %s", path, key);
}

static enum err_code check_gateway_key(const struct config *c, const char *path,
                                       struct err *err)
{
    struct seal_key key = {{0}};

    if (c->line.gateway_key &&
        seal_key_load(c->gateway_key, &key, err) != ERR_OK) {
        if (err->code != ERR_NOT_FOUND)
            return at(err, path, c->line.gateway_key, "gateway_key");
        err_clear(err);
    }
    seal_key_fini(&key);
    return ERR_OK;
}

static enum err_code check_listen(const struct config *c, const char *path,
                                  struct err *err)
{
    char *cert = NULL, *key = NULL;
    enum err_code rc;

    rc = state_dir_read(c->listen_cert, CONFIG_FILES_PEM_MAX, &cert, err);
    if (rc == ERR_OK && (rc = http_tls_pair_cert(cert, err)) != ERR_OK)
        rc = err_context(err, "%s", c->listen_cert);
    if (rc != ERR_OK) {
        rc = at(err, path, c->line.listen_cert, "listen_cert");
        goto out;
    }
    rc = state_dir_read(c->listen_key, CONFIG_FILES_PEM_MAX, &key, err);
    if (rc == ERR_OK && (rc = http_tls_pair_key(key, cert, err)) != ERR_OK)
        rc = err_context(err, "%s", c->listen_key);
    if (rc != ERR_OK)
        rc = at(err, path, c->line.listen_key, "listen_key");
out:
    if (key)
        bytes_wipe(key, strlen(key));
    free(key);
    free(cert);
    return rc;
}

enum err_code config_files_check(const struct config *c, const char *path,
                                 struct err *err)
{
    if (check_gateway_key(c, path, err) != ERR_OK)
        return err->code;
    return c->listen[0] ? check_listen(c, path, err) : ERR_OK;
}
