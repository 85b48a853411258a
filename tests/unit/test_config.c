/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "crypto/seal_key.h"
#include "gateway/config.h"
#include "gateway/config_files.h"
#include "net_peer.h"

static char path[] = "/tmp/cairn-test-config-XXXXXX";

static int make_path(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0)
        return -1;
    return close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static enum err_code load_n(const char *text, size_t len, struct config **out,
                            struct err *err)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    return config_load(path, out, err);
}

static enum err_code load(const char *text, struct config **out,
                          struct err *err)
{
    return load_n(text, strlen(text), out, err);
}

static void assert_defaults(const struct config *c)
{
    assert_true(parse_name(c->gateway));
    assert_string_equal(c->state, "/var/lib/cairn");
    assert_string_equal(c->gateway_key, "/var/lib/cairn/gateway.key");
    assert_string_equal(c->socket, "/run/cairn/cairnd.sock");
    assert_string_equal(c->listen, "");
    assert_string_equal(c->listen_cert, "");
    assert_string_equal(c->listen_key, "");
    assert_string_equal(c->allowed_locations, "");
    assert_string_equal(c->log_level, "info");
    assert_string_equal(c->log_form, "plain");
    assert_int_equal(c->memory, GIB);
    assert_int_equal(c->data_loops, 0);
    assert_int_equal(c->jobs_at_once, 256);
    assert_int_equal(c->jobs_per_pool, 64);
    assert_int_equal(c->jobs_per_tenant, 64);
    assert_int_equal(c->jobs_per_store, 64);
    assert_int_equal(c->exports_per_host, 64);
    assert_int_equal(c->snapshots_per_sr, 8);
    assert_int_equal(c->coalesce_backlog, 20);
    assert_int_equal(c->coalesce_wait_ms, 3600000);
    assert_int_equal(c->store_request_ms, 60000);
    assert_int_equal(c->store_retry_ms, 900000);
    assert_int_equal(c->pool_connect_ms, 0);
    assert_int_equal(c->pool_answer_ms, 0);
    assert_int_equal(c->pool_retry_ms, 0);
    assert_int_equal(c->export_first_byte_ms, 0);
    assert_int_equal(c->export_stall_ms, 0);
    assert_int_equal(c->pool_verdict_ms, 0);
    assert_int_equal(c->job_history_ms, (uint64_t)90 * 24 * 3600 * 1000);
    assert_int_equal(c->audit_history_ms, (uint64_t)400 * 24 * 3600 * 1000);
    assert_int_equal(c->compression, 1);
    assert_int_equal(c->chunk_bytes, 128 * KIB);
    assert_string_equal(c->spill, "");
    assert_int_equal(config_spill_tables(c), 0);
}

static void nothing_said_means_the_defaults(void **state)
{
    static const char *const empty[] = {"", "# only a comment\n", "\n\n",
                                        "{}\n", "---\n{}\n"};
    struct config *c = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(config_defaults(&c, &err), ERR_OK);
    assert_defaults(c);
    config_free(c);
    for (size_t i = 0; i < BYTES_COUNT(empty); i++) {
        if (load(empty[i], &c, &err) != ERR_OK)
            fail_msg("%zu: %s", i, err.text);
        assert_defaults(c);
        config_free(c);
    }
}

static const char all_settings[] =
    "---\n"
    "gateway: paris-1 # a comment\n"
    "state: /srv/state\n"
    "gateway_key: '/etc/cairn/key'\n"
    "\"socket\": /srv/sock\n"
    "listen: \"[::1]:8443\"\n"
    "listen_cert: /c.pem\n"
    "listen_key: /k.pem\n"
    "allowed_locations: s3://acme-  file:///srv s3://b@https://s3.example\n"
    "log_level: debug\n"
    "log_form: json\n"
    "memory: 64 MiB\n"
    "data_loops: 3\n"
    "jobs_at_once: 1\n"
    "jobs_per_pool: 2\n"
    "jobs_per_tenant: 5\n"
    "jobs_per_store: 4096\n"
    "exports_per_host: 6\n"
    "snapshots_per_sr: 4\n"
    "coalesce_backlog: 0\n"
    "coalesce_wait: 90 s\n"
    "store_request: 5 min\n"
    "pool_connect: 7 s\n"
    "pool_answer: 8 s\n"
    "pool_retry: 9 s\n"
    "export_first_byte: 24 h\n"
    "export_stall: 500 ms\n"
    "pool_verdict: 3 s\n"
    "job_history: 1 d\n"
    "audit_history: 2 d\n"
    "compression: 19\n"
    "spill: /var/tmp/cairn\n"
    "spill_size: 1 GiB\n"
    "chunk: 1 MiB\n";

static void every_setting_is_taken(void **state)
{
    struct config *c = NULL;
    struct err err = {0};

    (void)state;
    if (load(all_settings, &c, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(c->gateway, "paris-1");
    assert_string_equal(c->state, "/srv/state");
    assert_string_equal(c->gateway_key, "/etc/cairn/key");
    assert_string_equal(c->socket, "/srv/sock");
    assert_string_equal(c->listen, "[::1]:8443");
    assert_string_equal(c->listen_cert, "/c.pem");
    assert_string_equal(c->listen_key, "/k.pem");
    assert_string_equal(c->allowed_locations,
                        "s3://acme-  file:///srv s3://b@https://s3.example");
    assert_string_equal(c->log_level, "debug");
    assert_string_equal(c->log_form, "json");
    assert_int_equal(c->memory, 64 * MIB);
    assert_int_equal(c->data_loops, 3);
    assert_int_equal(c->jobs_at_once, 1);
    assert_int_equal(c->jobs_per_pool, 2);
    assert_int_equal(c->jobs_per_tenant, 5);
    assert_int_equal(c->jobs_per_store, 4096);
    assert_int_equal(c->exports_per_host, 6);
    assert_int_equal(c->snapshots_per_sr, 4);
    assert_int_equal(c->coalesce_backlog, 0);
    assert_int_equal(c->coalesce_wait_ms, 90000);
    assert_int_equal(c->store_request_ms, 300000);
    assert_int_equal(c->pool_connect_ms, 7000);
    assert_int_equal(c->pool_answer_ms, 8000);
    assert_int_equal(c->pool_retry_ms, 9000);
    assert_int_equal(c->export_first_byte_ms, 24 * 3600 * 1000);
    assert_int_equal(c->export_stall_ms, 500);
    assert_int_equal(c->pool_verdict_ms, 3000);
    assert_int_equal(c->job_history_ms, 24 * 3600 * 1000);
    assert_int_equal(c->audit_history_ms, 2 * 24 * 3600 * 1000);
    assert_int_equal(c->compression, 19);
    assert_int_equal(c->chunk_bytes, MIB);
    assert_string_equal(c->spill, "/var/tmp/cairn");
    assert_int_equal(c->spill_bytes, GIB);
    assert_int_equal(config_spill_tables(c), 8 * MIB);
    config_free(c);
    /* The gateway's key lies with the state unless it is said where. */
    assert_int_equal(load("state: /srv/s\n", &c, &err), ERR_OK);
    assert_string_equal(c->gateway_key, "/srv/s/gateway.key");
    config_free(c);
}

/* Each row: a file, and the line and words of the refusal. */
static const struct {
    const char *why, *text;
    unsigned line; /* 0: the file alone is named */
    const char *says;
} bad[] = {
    {"an unknown key", "memory: 1 GiB\n\n# x\nmemroy: 2 GiB\n", 4,
     "memroy: no such setting"},
    {"a key in capitals", "Memory: 1 GiB\n", 1, "Memory: no such setting"},
    {"a key twice", "state: /a\nmemory: 1 GiB\n\nmemory: 2 GiB\n", 4,
     "memory: given twice"},
    {"a key twice, quoted once", "memory: 1 GiB\n'memory' : 2 GiB\n", 2,
     "memory: given twice"},
    {"no number", "state: /a\nmemory: lots\n", 2,
     "memory: wanted a size from 64 MiB to 1 TiB, got 'lots'"},
    {"too small", "memory: 63 MiB\n", 1, "memory: wanted"},
    {"too large", "memory: 2 TiB\n", 1, "memory: wanted"},
    {"an empty value", "memory:\n", 1, "memory: wanted"},
    {"a negative number", "\n\njobs_at_once: -1\n", 3, "jobs_at_once: wanted"},
    {"a hexadecimal number", "jobs_at_once: 0x10\n", 1, "jobs_at_once: wanted"},
    {"digits and more", "jobs_at_once: 10zz\n", 1, "jobs_at_once: wanted"},
    {"no job of a tenant", "memory: 1 GiB\njobs_per_tenant: 0\n", 2,
     "jobs_per_tenant: wanted"},
    {"more on a store than in all", "jobs_per_store: 4097\n", 1,
     "jobs_per_store: wanted"},
    {"no export of a host", "exports_per_host: none\n", 1,
     "exports_per_host: wanted"},
    {"no unit", "store_request: 60\n", 1, "store_request: wanted"},
    {"a list", "state: /a\nmemory: [1, 2]\n", 2, "STRING"},
    {"a mapping", "memory: {a: b}\n", 1, "STRING"},
    {"an alias", "state: &a /x\nsocket: *a\n", 2, ""},
    {"a list of settings", "- memory\n", 0, "MAPPING"},
    {"a word", "memory\n", 0, "MAPPING"},
    {"an open quote", "state: /a\nsocket: \"/x\n", 2, ""},
    {"a tab", "\tstate: /a\n", 0, ""},
    {"a second document", "state: /a\n---\nstate: /b\n", 2,
     "a second YAML document"},
    {"an end and more", "state: /a\n...\n", 2, "a second YAML document"},
    {"a name that is none", "gateway: Paris\n", 1, "gateway: wanted"},
    {"a name too long", "gateway: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
     1, "gateway:"},
    {"a state without a root", "state: var/lib\n", 1, "state: wanted"},
    {"a socket without a root", "socket: x.sock\n", 1, "socket: wanted"},
    {"no state", "state: ''\n", 1, "state: wanted"},
    {"no port", "listen_cert: /c\nlisten_key: /k\nlisten: 10.0.0.1\n", 3,
     "listen: wanted an address and a port"},
    {"a port that there is not",
     "listen_cert: /c\nlisten_key: /k\nlisten: 10.0.0.1:99999\n", 3,
     "listen: wanted an address and a port"},
    {"a name to listen on",
     "listen_cert: /c\nlisten_key: /k\nlisten: localhost:8443\n", 3,
     "listen: wanted an address and a port"},
    {"TCP without TLS", "memory: 1 GiB\nlisten: 127.0.0.1:1\n", 2,
     "listen: needs listen_cert and listen_key"},
    {"TLS without its key", "listen: 127.0.0.1:1\nlisten_cert: /c\n", 1,
     "listen: needs"},
    {"a level that is none", "log_level: loud\n", 1, "log_level: wanted"},
    {"an empty level", "log_level: ''\n", 1, "log_level: wanted"},
    {"a form that is none", "log_form: xml\n", 1, "log_form: wanted"},
    {"a location that is none", "allowed_locations: s3://a /srv\n", 1,
     "allowed_locations: each"},
    {"a gateway key that is not from the root", "gateway_key: key\n", 1,
     "gateway_key: wanted a path from the root"},
    {"a certificate that is not from the root",
     "listen: 127.0.0.1:8443\nlisten_cert: c\nlisten_key: /k\n", 2,
     "listen_cert: wanted a path from the root"},
    {"a key that is not from the root",
     "listen: 127.0.0.1:8443\nlisten_cert: /c\nlisten_key: k\n", 3,
     "listen_key: wanted a path from the root"},
    {"a spill that is not from the root", "spill: spill\n", 1,
     "spill: wanted a path"},
    {"a spill of less than a part", "spill: /tmp\nspill_size: 15 MiB\n", 2,
     "spill_size: wanted"},
    {"a spill whose tables take over a quarter of memory",
     "memory: 64 MiB\nspill: /tmp\nspill_size: 3 GiB\n", 3,
     "spill_size: each GiB takes 8 MiB"},
    {"a chunk that is no power of two", "chunk: 96 KiB\n", 1, "chunk: wanted"},
    {"a chunk too large", "chunk: 2 MiB\n", 1, "chunk: wanted"},
};

static void mistakes_are_refused_with_their_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        struct config *c = NULL;
        struct err err = {0};
        char where[100];

        if (load(bad[i].text, &c, &err) != ERR_ARGUMENT ||
            err.code != ERR_ARGUMENT || c)
            fail_msg("%s: taken", bad[i].why);
        if (bad[i].line > 0)
            snprintf(where, sizeof(where), "%s:%u: ", path, bad[i].line);
        else
            snprintf(where, sizeof(where), "%s: ", path);
        if (strncmp(err.text, where, strlen(where)) != 0 ||
            !strstr(err.text, bad[i].says))
            fail_msg("%s: %s", bad[i].why, err.text);
    }
}

/* ---- the files that it names ---- */

static char dir[] = "/tmp/cairn-test-config-files-XXXXXX";

static const char *put(const char *name, const char *text)
{
    static char file[128];
    FILE *f;

    snprintf(file, sizeof(file), "%s/%s", dir, name);
    f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return file;
}

static void put_pair(const char *cert, const char *key)
{
    struct peer_cert made = peer_cert_new("127.0.0.1", false, NULL, -1, 1);
    char *cert_pem = peer_cert_pem(&made), *key_pem = peer_key_pem(&made);

    put(cert, cert_pem);
    put(key, key_pem);
    free(cert_pem);
    free(key_pem);
    peer_cert_free(&made);
}

static const char sealed_key[] = /* asks for a password */
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjBLQWKtzyJVgICCAAw\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

static const struct {
    const char *why;
    const char *cert, *key, *gateway_key;
    unsigned line; /* 0: it is well */
    const char *says;
} files[] = {
    {"all is well", "c.pem", "k.pem", "good.key", 0, NULL},
    {"the gateway key is made at the start", "c.pem", "k.pem", "none.key", 0,
     NULL},
    {"no certificate", "none.pem", "k.pem", "good.key", 2,
     "listen_cert: %s/none.pem: No such file or directory"},
    {"no key", "c.pem", "none.pem", "good.key", 3,
     "listen_key: %s/none.pem: No such file or directory"},
    {"a certificate that cannot be read", ".", "k.pem", "good.key", 2,
     "listen_cert: %s/.: Is a directory"},
    {"no PEM", "junk", "k.pem", "good.key", 2,
     "listen_cert: %s/junk: no certificate in PEM form"},
    {"the key for the certificate", "k.pem", "k.pem", "good.key", 2,
     "listen_cert: %s/k.pem: no certificate in PEM form"},
    {"the certificate for the key", "c.pem", "c.pem", "good.key", 3,
     "listen_key: %s/c.pem: no private key in PEM form"},
    {"a key with a password", "c.pem", "sealed.pem", "good.key", 3,
     "listen_key: %s/sealed.pem: no private key in PEM form, without a "
     "password"},
    {"the key of another certificate", "c.pem", "k2.pem", "good.key", 3,
     "listen_key: %s/k2.pem: not the key of the certificate"},
    {"a gateway key that is none", "c.pem", "k.pem", "junk", 4,
     "gateway_key: %s/junk"},
};

/* Every %s of a row is the folder. */
static bool says(const char *text, const char *row)
{
    const char *at = strstr(row, "%s");
    char want[300];

    snprintf(want, sizeof(want), "%.*s%s%s", (int)(at - row), row, dir, at + 2);
    return strstr(text, want) != NULL;
}

static void files_that_it_names_are_looked_at(void **state)
{
    struct seal_key key = {{1}};
    struct err err = {0};
    char file[128];

    (void)state;
    assert_non_null(mkdtemp(dir));
    put_pair("c.pem", "k.pem");
    put_pair("c2.pem", "k2.pem");
    put("sealed.pem", sealed_key);
    put("junk", "junk\n");
    snprintf(file, sizeof(file), "%s/good.key", dir);
    assert_int_equal(seal_key_save(file, &key, &err), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(files); i++) {
        struct config *c = NULL;
        char text[700], where[100];

        snprintf(text, sizeof(text),
                 "listen: 127.0.0.1:0\nlisten_cert: %s/%s\nlisten_key: %s/%s\n"
                 "gateway_key: %s/%s\n",
                 dir, files[i].cert, dir, files[i].key, dir,
                 files[i].gateway_key);
        err_clear(&err);
        assert_int_equal(load(text, &c, &err), ERR_OK);
        config_files_check(c, path, &err);
        snprintf(where, sizeof(where), "%s:%u: ", path, files[i].line);
        if (files[i].line ? err.code != ERR_ARGUMENT ||
                                strncmp(err.text, where, strlen(where)) != 0 ||
                                !says(err.text, files[i].says)
                          : err.code != ERR_OK)
            fail_msg("%s: %s", files[i].why, err.text);
        config_free(c);
    }
}

static int remove_files(void **state)
{
    static const char *const names[] = {"c.pem",      "k.pem", "c2.pem",
                                        "k2.pem",     "junk",  "good.key",
                                        "sealed.pem", ""};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(names); i++) {
        char file[128];

        snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
        remove(file);
    }
    return 0;
}

static void file_must_be_a_bounded_text(void **state)
{
    char *big = malloc(2 * MIB);
    struct config *c = NULL;
    struct err err = {0};

    (void)state;
    memset(big, '#', 2 * MIB);
    assert_int_equal(load_n(big, MIB, &c, &err), ERR_OK);
    config_free(c);
    assert_int_equal(load_n(big, MIB + 1, &c, &err), ERR_ARGUMENT);
    free(big);
    assert_int_equal(load_n("state: /a\0b\n", 12, &c, &err), ERR_ARGUMENT);
    assert_int_equal(load("state: /\xff\n", &c, &err), ERR_ARGUMENT);
    assert_int_equal(config_load("/nonexistent/x.yaml", &c, &err), ERR_IO);
    assert_int_equal(config_load("/", &c, &err), ERR_IO);
    assert_non_null(strstr(err.text, "/: "));
}

static char *example_text(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    config_example(f);
    fclose(f);
    return text;
}

static void example_is_what_packaging_ships(void **state)
{
    char *text = example_text(), *shipped = calloc(1, MIB);
    FILE *f = fopen(CAIRN_SOURCE "/packaging/cairnd.yaml", "r");

    (void)state;
    assert_non_null(f);
    assert_true(fread(shipped, 1, MIB - 1, f) > 0);
    fclose(f);
    assert_string_equal(shipped, text);
    free(text);
    free(shipped);
}

static void example_says_the_defaults(void **state)
{
    char *text = example_text(), *out = text;
    struct config *c = NULL;
    struct err err = {0};
    unsigned settings = 0;

    (void)state;
    /* Take the hash away where a setting follows at once. */
    for (char *in = text; *in;) {
        size_t len = strcspn(in, "\n") + 1;

        assert_true(len <= 80);
        if (in[0] == '#' && in[1] != ' ') {
            in++;
            len--;
            settings++;
        }
        memmove(out, in, len);
        out += len;
        in += len;
    }
    *out = '\0';
    assert_int_equal(settings, 35);
    if (load(text, &c, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_defaults(c);
    config_free(c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_means_the_defaults),
        cmocka_unit_test(every_setting_is_taken),
        cmocka_unit_test(mistakes_are_refused_with_their_line),
        cmocka_unit_test_teardown(files_that_it_names_are_looked_at,
                                  remove_files),
        cmocka_unit_test(file_must_be_a_bounded_text),
        cmocka_unit_test(example_is_what_packaging_ships),
        cmocka_unit_test(example_says_the_defaults),
    };

    return cmocka_run_group_tests(tests, make_path, remove_path);
}
