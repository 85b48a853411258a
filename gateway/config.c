/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "base/setting.h"
#include "gateway/config_yaml.h"
#include "net/http_listen.h"
#include "loop/spill.h"
#include "vault/session.h"

#define FILE_MAX ((size_t)MIB)
#define HOURS ((uint64_t)3600 * 1000)
#define SOCKET_MAX 107 /* what a unix socket's address holds */

#define ROW(key, type, member, min, max, otherwise, help)                     \
    {                                                                         \
        key, type, offsetof(struct config, member), min, max, otherwise, help \
    }

/* The order is that of the example. */
static const struct setting rows[] = {
    ROW("gateway", SETTING_TEXT, gateway, 0, 40, "",
        "name of this gateway, [a-z0-9-]; empty: the host's name"),
    ROW("state", SETTING_TEXT, state, 1, 4000, "/var/lib/cairn",
        "directory of the catalog and the indexes"),
    ROW("gateway_key", SETTING_TEXT, gateway_key, 0, 4000, "",
        "file of the key that seals what lies in the state directory; made at "
        "the first start; empty: gateway.key in the state directory"),
    ROW("socket", SETTING_TEXT, socket, 1, SOCKET_MAX, "/run/cairn/cairnd.sock",
        "unix socket of the control API; whoever may open it is the provider"),
    ROW("listen", SETTING_TEXT, listen, 0, 255, "",
        "address and port of the control API over TLS, for tenants with "
        "tokens (10.0.0.1:8443); empty: the socket only"),
    ROW("listen_cert", SETTING_TEXT, listen_cert, 0, 4000, "",
        "PEM file of its certificate, with those that lead to the CA"),
    ROW("listen_key", SETTING_TEXT, listen_key, 0, 4000, "",
        "PEM file of its key"),
    ROW("allowed_locations", SETTING_TEXT, allowed_locations, 0, 16000, "",
        "where vaults may lie, with what is below it: URLs with spaces between "
        "(s3://acme-* file:///srv/backup s3://b@https://s3.example.org); "
        "empty: anywhere"),
    ROW("log_level", SETTING_TEXT, log_level, 0, 10, "info",
        "error, warn, info or debug"),
    ROW("log_form", SETTING_TEXT, log_form, 0, 10, "plain",
        "plain, json, or systemd (lines with their priority in front)"),
    ROW("memory", SETTING_SIZE, memory, 64 * MIB, TIB, "1 GiB",
        "all data in flight (a stream needs 20 MiB); the process takes at "
        "most 96 MiB more"),
    ROW("spill", SETTING_TEXT, spill, 0, 4000, "",
        "directory for a file in which sealed parts of backups wait while a "
        "store is down, so that exports go on; empty: exports wait"),
    ROW("spill_size", SETTING_SIZE, spill_bytes, SPILL_SLOT_BYTES,
        SPILL_BYTES_MAX, "4 GiB",
        "most that lies in that file; each GiB of it takes 8 MiB of memory"),
    ROW("data_loops", SETTING_NUMBER, data_loops, 0, 256, "0",
        "threads that move data; 0: as many as there are cores"),
    ROW("jobs_at_once", SETTING_NUMBER, jobs_at_once, 1, 4096, "256",
        "jobs that run; more wait"),
    ROW("jobs_per_pool", SETTING_NUMBER, jobs_per_pool, 1, 1024, "64",
        "jobs that run on one pool"),
    ROW("jobs_per_tenant", SETTING_NUMBER, jobs_per_tenant, 1, 4096, "64",
        "jobs that run of one tenant"),
    ROW("jobs_per_store", SETTING_NUMBER, jobs_per_store, 1, 4096, "64",
        "jobs that run on one object store (an endpoint, or a folder), of all "
        "tenants that have vaults there"),
    ROW("exports_per_host", SETTING_NUMBER, exports_per_host, 1, 1024, "64",
        "backups that one host of a pool is asked to export at a time"),
    ROW("snapshots_per_sr", SETTING_NUMBER, snapshots_per_sr, 1, 64, "8",
        "snapshots of ours on one SR at a time"),
    ROW("coalesce_backlog", SETTING_NUMBER, coalesce_backlog, 0, 100000, "20",
        "disks of one SR that may wait to be coalesced before backups there "
        "pause (a chain of about 30 ends snapshots of its disk); 0: no matter "
        "how many"),
    ROW("coalesce_wait", SETTING_DURATION, coalesce_wait_ms, 1000, 24 * HOURS,
        "1 h", "how long a backup waits for such an SR before it fails"),
    ROW("store_request", SETTING_DURATION, store_request_ms, 1000, HOURS,
        "60 s", "a store that moves no data for so long has failed"),
    ROW("store_retry", SETTING_DURATION, store_retry_ms, 1000, 24 * HOURS,
        "15 min", "how long a request to a store is tried again"),
    ROW("pool_connect", SETTING_DURATION, pool_connect_ms, 0, HOURS, "0 s",
        "time for connecting to a pool; 0 s: the built-in limit"),
    ROW("pool_answer", SETTING_DURATION, pool_answer_ms, 0, HOURS, "0 s",
        "time for a pool to answer a call; 0 s: the built-in limit"),
    ROW("pool_retry", SETTING_DURATION, pool_retry_ms, 0, 24 * HOURS, "0 s",
        "how long calls to a pool, transfers that do not begin, and removals of "
        "disks in use are tried again; 0 s: the built-in limit"),
    ROW("pool_verdict", SETTING_DURATION, pool_verdict_ms, 0, 24 * HOURS,
        "0 s", "time for a pool to say how an export or import went, after its "
        "last byte, and to end other tasks; 0 s: the built-in limits"),
    ROW("export_first_byte", SETTING_DURATION, export_first_byte_ms, 0,
        24 * HOURS, "0 s",
        "time until an export begins; 0 s: the built-in limit"),
    ROW("export_stall", SETTING_DURATION, export_stall_ms, 0, 24 * HOURS, "0 s",
        "silence that ends an export; 0 s: the built-in limit"),
    ROW("client_stall", SETTING_DURATION, client_stall_ms, 1000, 24 * HOURS,
        "5 min", "a client that takes less than 256 KiB of a restore in this "
        "time is given up"),
    ROW("job_history", SETTING_DURATION, job_history_ms, 1000, 36500 * 24 * HOURS,
        "90 d", "how long jobs that ended, and their logs, are kept"),
    ROW("audit_history", SETTING_DURATION, audit_history_ms, 1000,
        36500 * 24 * HOURS, "400 d", "how long audit lines are kept"),
    ROW("compression", SETTING_NUMBER, compression, 0, 19, "1",
        "zstd level of new vaults; 0: none"),
    ROW("chunk", SETTING_SIZE, chunk_bytes, 64 * KIB, MIB, "128 KiB",
        "size of the chunks of new disks, a power of two"),
};

#define ROWS BYTES_COUNT(rows)

uint64_t config_spill_tables(const struct config *c)
{
    return c->spill[0] ? c->spill_bytes / SPILL_SLOT_BYTES *
                             SESSION_SPILL_TABLES
                       : 0;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    setting_fini(rows, ROWS, c);
    free(c);
}

/* The row that a check is about, for the line it stands on. */
static enum err_code bad(struct err *err, const char **key, const char *which,
                         const char *why)
{
    *key = which;
    return err_set(err, ERR_ARGUMENT, 0, "%s: %s", which, why);
}

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool locations_ok(const char *text)
{
    static const char *const kinds[] = {"s3://", "file:///"};

    while (*text) {
        size_t len = strcspn(text, " ");
        bool ok = len == 0;

        for (size_t i = 0; i < BYTES_COUNT(kinds); i++)
            ok = ok || strncmp(text, kinds[i], strlen(kinds[i])) == 0;
        if (!ok)
            return false;
        text += len + (text[len] == ' ');
    }
    return true;
}

/* Nobody knows from where a daemon was started. */
static bool is_rooted(const char *path)
{
    return !path[0] || path[0] == '/';
}

/* What one row alone cannot say. */
static enum err_code check(const struct config *c, const char **key,
                           struct err *err)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    static const char *const forms[] = {"plain", "json", "systemd"};
    bool tls = c->listen_cert[0] && c->listen_key[0];

    if (c->gateway[0] && !parse_name(c->gateway))
        return bad(err, key, "gateway", "wanted 1 to 40 of [a-z0-9-]");
    if (c->state[0] != '/')
        return bad(err, key, "state", "wanted a path from the root");
    if (c->socket[0] != '/')
        return bad(err, key, "socket", "wanted a path from the root");
    if (!is_rooted(c->gateway_key))
        return bad(err, key, "gateway_key", "wanted a path from the root");
    if (!is_rooted(c->listen_cert))
        return bad(err, key, "listen_cert", "wanted a path from the root");
    if (!is_rooted(c->listen_key))
        return bad(err, key, "listen_key", "wanted a path from the root");
    if (c->listen[0] && !tls)
        return bad(err, key, "listen",
                   "needs listen_cert and listen_key too: the API is served "
                   "over TLS only");
    if (c->listen[0] && !http_listen_address_ok(c->listen))
        return bad(err, key, "listen",
                   "wanted an address and a port, as 127.0.0.1:8443");
    if (!is_one_of(c->log_level, levels, BYTES_COUNT(levels)))
        return bad(err, key, "log_level", "wanted error, warn, info or debug");
    if (!is_one_of(c->log_form, forms, BYTES_COUNT(forms)))
        return bad(err, key, "log_form", "wanted plain, json or systemd");
    if (!locations_ok(c->allowed_locations))
        return bad(err, key, "allowed_locations",
                   "each begins with s3:// or file:///");
    if (!is_rooted(c->spill))
        return bad(err, key, "spill", "wanted a path from the root");
    if (config_spill_tables(c) > c->memory / 4)
        return bad(err, key, "spill_size",
                   "each GiB takes 8 MiB of memory, which must be four times "
                   "that at least");
    if (c->chunk_bytes & (c->chunk_bytes - 1))
        return bad(err, key, "chunk", "wanted a power of two");
    return ERR_OK;
}

/* The host name's first label, made to fit [a-z0-9-]{1,40}. */
static void host_label(char out[41])
{
    char host[256] = "";
    size_t n = 0;

    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    for (const char *p = host; *p && *p != '.' && n < 40; p++) {
        bool big = *p >= 'A' && *p <= 'Z';
        bool fits = big || (*p >= 'a' && *p <= 'z') ||
                    (*p >= '0' && *p <= '9') || *p == '-';

        out[n++] = (char)(big ? *p - 'A' + 'a' : fits ? *p : '-');
    }
    out[n] = '\0';
    if (n == 0)
        memcpy(out, "gateway", sizeof("gateway"));
}

/* Defaults that are made of other things. */
static enum err_code fill_in(struct config *c, struct err *err)
{
    char name[41], *path;

    if (!c->gateway[0]) {
        host_label(name);
        if (setting_set(rows, ROWS, c, "gateway", name, err) != ERR_OK)
            return err->code;
    }
    if (!c->gateway_key[0]) {
        if (asprintf(&path, "%s/gateway.key", c->state) < 0)
            return err_set(err, ERR_NOMEM, 0, "configuration");
        free(c->gateway_key);
        c->gateway_key = path;
    }
    return ERR_OK;
}

static enum err_code new_with_defaults(struct config **out, struct err *err)
{
    struct config *c = calloc(1, sizeof(*c));
    enum err_code rc;

    if (!c)
        return err_set(err, ERR_NOMEM, 0, "configuration");
    rc = setting_defaults(rows, ROWS, c, err);
    if (rc != ERR_OK) {
        config_free(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

enum err_code config_defaults(struct config **out, struct err *err)
{
    struct config *c = NULL;
    enum err_code rc = new_with_defaults(&c, err);

    if (rc == ERR_OK)
        rc = fill_in(c, err);
    if (rc != ERR_OK) {
        config_free(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

/* Put "file:line: " before the text. */
static enum err_code at_line(struct err *err, const char *path, unsigned line)
{
    return line > 0 ? err_context(err, "%s:%u", path, line)
                    : err_context(err, "%s", path);
}

static enum err_code fill(struct config *c, const struct config_yaml *yaml,
                          const char *path, struct err *err)
{
    const char *key = NULL;

    for (size_t i = 0; i < ROWS; i++) {
        key = rows[i].key;
        if (yaml->values[i] &&
            setting_set(rows, ROWS, c, key, yaml->values[i], err) != ERR_OK)
            return at_line(err, path, config_yaml_line(yaml, key, 1));
    }
    if (check(c, &key, err) != ERR_OK)
        return at_line(err, path, config_yaml_line(yaml, key, 1));
    return fill_in(c, err);
}

static enum err_code parse(const char *text, const char *path,
                           struct config **out, struct err *err)
{
    const char *keys[ROWS];
    struct config_yaml yaml;
    struct config *c = NULL;
    unsigned line = 0;
    enum err_code rc;

    for (size_t i = 0; i < ROWS; i++)
        keys[i] = rows[i].key;
    if (config_yaml_read(text, keys, ROWS, &yaml, &line, err) != ERR_OK)
        return at_line(err, path, line);
    rc = new_with_defaults(&c, err);
    if (rc == ERR_OK)
        rc = fill(c, &yaml, path, err);
    if (rc == ERR_OK) {
        c->line.gateway_key = config_yaml_line(&yaml, "gateway_key", 1);
        c->line.listen_cert = config_yaml_line(&yaml, "listen_cert", 1);
        c->line.listen_key = config_yaml_line(&yaml, "listen_key", 1);
    }
    config_yaml_fini(&yaml);
    if (rc != ERR_OK) {
        config_free(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

enum err_code config_load(const char *path, struct config **out,
                          struct err *err)
{
    char *text = malloc(FILE_MAX + 2);
    enum err_code rc;
    size_t len = 0;
    FILE *f = NULL;

    if (!text)
        return err_set(err, ERR_NOMEM, 0, "%s", path);
    f = fopen(path, "re");
    if (f)
        len = fread(text, 1, FILE_MAX + 1, f);
    if (!f || ferror(f)) {
        rc = err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    } else if (len > FILE_MAX || !parse_utf8(text, len)) {
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "%s: not a text in UTF-8 of at most 1 MiB", path);
    } else {
        text[len] = '\0';
        rc = parse(text, path, out, err);
    }
    if (f)
        fclose(f);
    free(text);
    return rc;
}

/* A comment of at most 78 columns a line. */
static void print_comment(const char *text, FILE *out)
{
    size_t column = 0;

    while (*text) {
        size_t len = strcspn(text, " ");

        if (column == 0 || column + 1 + len > 78) {
            fputs(column == 0 ? "#" : "\n#", out);
            column = 1;
        }
        fprintf(out, " %.*s", (int)len, text);
        column += 1 + len;
        text += len + (text[len] == ' ');
    }
    fputc('\n', out);
}

void config_example(FILE *out)
{
    fputs("# SPDX-License-Identifier: Apache-2.0\n"
          "# Configuration of cairnd. What stands here are the defaults; take "
          "the\n# hash away to set another value. cairnd --check says what is "
          "wrong.\n",
          out);
    for (size_t i = 0; i < ROWS; i++) {
        const char *value = rows[i].otherwise;

        fputc('\n', out);
        print_comment(rows[i].help, out);
        fprintf(out, "#%s: %s\n", rows[i].key, *value ? value : "\"\"");
    }
}
