/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server listens, and how the curl program finds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_site.h"

/* ---- TLS, and the curl program ---- */

struct shell {
    struct mail mail;
    struct rig *rig;
    char command[2000];
    char output[4000];
    int status;
    pthread_t thread;
};

static void on_shell_done(struct mail *m)
{
    loop_stop(((struct shell *)m)->rig->loop);
}

static void *run_shell(void *ctx)
{
    struct shell *sh = ctx;
    /* NOLINTNEXTLINE(cert-env33-c): a shell is meant, with fixed commands */
    FILE *f = popen(sh->command, "r");
    size_t n = fread(sh->output, 1, sizeof(sh->output) - 1, f);

    sh->output[n] = '\0';
    sh->status = WEXITSTATUS(pclose(f));
    sh->mail.deliver = on_shell_done;
    loop_send(sh->rig->loop, &sh->mail);
    return NULL;
}

/* Run a command while the server serves. */
static void shell(struct site *s, struct shell *sh)
{
    sh->rig = &s->rig;
    pthread_create(&sh->thread, NULL, run_shell, sh);
    loop_run(s->rig.loop);
    pthread_join(sh->thread, NULL);
}

static void curl_program_is_served(void **state)
{
    struct shell sh = {0};
    struct site s;

    (void)state;
    site_open(&s);
    snprintf(sh.command, sizeof(sh.command),
             "curl -sS --max-time 20 --unix-socket %s -H 'X-Ask: me' "
             "--json '{\"k\":1}' -w '|%%{http_code}' 'http://h/p?q=z' 2>&1",
             s.path);
    shell(&s, &sh);
    assert_string_equal(sh.output, "POST /p q=z q:z h:me {\"k\":1}|200");
    /* curl asks "Expect: 100-continue" before a body of this size. */
    snprintf(sh.command, sizeof(sh.command),
             "head -c 2000000 /dev/zero | curl -sS --max-time 20 "
             "--unix-socket %s -T - -H 'Content-Type: x/y' -o /dev/null "
             "-w '%%{http_code}' http://h/p 2>&1",
             s.path);
    shell(&s, &sh);
    assert_string_equal(sh.output, "413");
    s.stream_bytes = 3000001;
    snprintf(sh.command, sizeof(sh.command),
             "curl -sS --max-time 20 --limit-rate 20M --unix-socket %s "
             "http://h/stream 2>&1 | wc -c | tr -d '\\n '",
             s.path);
    shell(&s, &sh);
    assert_string_equal(sh.output, "3000001");
    s.stream_fails = true;
    s.written = 0;
    snprintf(sh.command, sizeof(sh.command),
             "curl -sS --max-time 20 --unix-socket %s -o /dev/null "
             "http://h/stream 2>/dev/null; echo -n $?",
             s.path);
    shell(&s, &sh);
    assert_string_equal(sh.output, "18"); /* CURLE_PARTIAL_FILE */
    assert_int_equal(s.calls, 3);
    site_close(&s);
}

static void tcp_is_served_over_tls_alone(void **state)
{
    struct peer_cert ca = peer_cert_new("our CA", true, NULL, -1, 1);
    struct peer_cert cert = peer_cert_new("127.0.0.1", false, &ca, -1, 1);
    char *cert_pem = peer_cert_pem(&cert), *key_pem = peer_key_pem(&cert);
    char *ca_pem = peer_cert_pem(&ca);
    char ca_path[] = "/tmp/cairn-test-ca-XXXXXX";
    struct http_trust *trust = NULL;
    struct http_server *tcp = NULL;
    struct http_transfer_opts opts;
    struct http_server_opts on_tcp;
    struct shell sh = {0};
    struct err err = {0};
    struct site s;
    int fd;

    (void)state;
    site_open(&s);
    on_tcp = site_opts(&s);
    on_tcp.unix_path = NULL;
    on_tcp.address = "127.0.0.1:0";
    on_tcp.cert_pem = cert_pem;
    on_tcp.key_pem = key_pem;
    if (http_server_new(s.rig.loop, &on_tcp, &tcp, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_true(http_server_port(tcp) > 0);
    assert_int_equal(http_trust_ca(ca_pem, &trust, &err), ERR_OK);
    s.stream_bytes = 5000000;
    opts = rig_opts(&s.call, "GET",
                    rig_url("https", http_server_port(tcp), "/sized"));
    opts.trust = trust;
    rig_start(&s.rig, &s.call, &opts);
    s.call.body.max = 6000000;
    rig_run(&s.rig);
    if (s.call.err.code != ERR_OK)
        fail_msg("%s", s.call.err.text);
    assert_int_equal(s.call.received, 5000000);
    /* Without TLS there is no answer. */
    rig_get(&s.rig, &s.call, rig_url("http", http_server_port(tcp), "/x"));
    assert_int_equal(s.call.err.code, ERR_IO);
    fd = mkstemp(ca_path);
    assert_int_equal(write(fd, ca_pem, strlen(ca_pem)), strlen(ca_pem));
    close(fd);
    snprintf(sh.command, sizeof(sh.command),
             "curl -sS --max-time 20 --cacert %s https://127.0.0.1:%u/t 2>&1;"
             "curl -sS --max-time 20 --tls-max 1.1 -k -o /dev/null "
             "https://127.0.0.1:%u/t 2>/dev/null; echo -n $?",
             ca_path, http_server_port(tcp), http_server_port(tcp));
    shell(&s, &sh);
    assert_string_equal(sh.output, "GET /t q:none h:none 35");
    unlink(ca_path);
    http_server_free(tcp);
    http_trust_drop(trust);
    site_close(&s);
    free(cert_pem);
    free(key_pem);
    free(ca_pem);
    peer_cert_free(&cert);
    peer_cert_free(&ca);
}

static void what_cannot_be_served_is_refused(void **state)
{
    struct peer_cert cert = peer_cert_new("127.0.0.1", false, NULL, -1, 1);
    struct peer_cert other = peer_cert_new("127.0.0.1", false, NULL, -1, 1);
    char *pem = peer_cert_pem(&cert), *key = peer_key_pem(&cert);
    char *other_key = peer_key_pem(&other);
    char long_path[200];
    struct http_server *server = NULL;
    struct err err = {0};
    struct site s;

    (void)state;
    memset(long_path, 'a', sizeof(long_path));
    long_path[0] = '/';
    long_path[199] = '\0';
    site_open(&s);
    const struct {
        const char *why, *unix_path, *address, *cert, *key;
        enum err_code code;
    } bad[] = {
        {"TCP without TLS", NULL, "127.0.0.1:0", NULL, NULL, ERR_ARGUMENT},
        {"no key", NULL, "127.0.0.1:0", pem, NULL, ERR_ARGUMENT},
        {"no certificate", NULL, "127.0.0.1:0", "x", key, ERR_ARGUMENT},
        {"another's key", NULL, "127.0.0.1:0", pem, other_key, ERR_ARGUMENT},
        {"a name", NULL, "localhost:0", pem, key, ERR_ARGUMENT},
        {"no port", NULL, "127.0.0.1", pem, key, ERR_ARGUMENT},
        {"an empty port", NULL, "127.0.0.1:", pem, key, ERR_ARGUMENT},
        {"no address", NULL, ":8443", pem, key, ERR_ARGUMENT},
        {"a port too large", NULL, "127.0.0.1:70000", pem, key, ERR_ARGUMENT},
        {"IPv6 without brackets", NULL, "::1:80", pem, key, ERR_ARGUMENT},
        {"not ours", NULL, "192.0.2.1:0", pem, key, ERR_IO},
        {"a long path", long_path, NULL, NULL, NULL, ERR_ARGUMENT},
        {"no path", "", NULL, NULL, NULL, ERR_ARGUMENT},
        {"no folder", "/nonexistent/x.sock", NULL, NULL, NULL, ERR_IO},
    };
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        struct http_server_opts opts = site_opts(&s);

        opts.unix_path = bad[i].unix_path;
        opts.address = bad[i].address;
        opts.cert_pem = bad[i].cert;
        opts.key_pem = bad[i].key;
        if (http_server_new(s.rig.loop, &opts, &server, &err) != bad[i].code)
            fail_msg("%s: %s", bad[i].why, err.text);
        assert_null(server);
    }
    site_close(&s);
    free(pem);
    free(key);
    free(other_key);
    peer_cert_free(&cert);
    peer_cert_free(&other);
}

/* ---- The socket ---- */

static void socket_is_for_owner_and_group_whatever_the_umask(void **state)
{
    mode_t old = umask(0);
    struct stat st;
    struct site s;

    (void)state;
    site_open(&s);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    site_close(&s);
    umask(0177);
    site_open(&s);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    site_close(&s);
    umask(old);
}

static void live_socket_is_left_alone_and_a_stale_one_replaced(void **state)
{
    struct http_server *second = NULL;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct http_server_opts opts;
    struct err err = {0};
    struct site s;
    int fd;

    (void)state;
    site_open(&s);
    opts = site_opts(&s);
    assert_int_equal(http_server_new(s.rig.loop, &opts, &second, &err),
                     ERR_CONFLICT);
    assert_null(second);
    site_ask(&s, "http://h/x"); /* the first one still answers */
    assert_int_equal(s.call.status, 200);
    http_server_free(s.server);
    /* A file that is no socket is nobody's to remove. */
    fd = open(s.path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(http_server_new(s.rig.loop, &opts, &second, &err),
                     ERR_CONFLICT);
    assert_int_equal(access(s.path, F_OK), 0);
    unlink(s.path);
    /* What a killed server leaves behind. */
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s.path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    close(fd);
    assert_int_equal(http_server_new(s.rig.loop, &opts, &s.server, &err),
                     ERR_OK);
    site_ask(&s, "http://h/x");
    assert_int_equal(s.call.status, 200);
    /* Another's socket at our path is not ours to remove. */
    unlink(s.path);
    fd = open(s.path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    close(fd);
    http_server_free(s.server);
    assert_int_equal(access(s.path, F_OK), 0);
    unlink(s.path);
    rig_close(&s.rig);
    rig_fini(&s.call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curl_program_is_served),
        cmocka_unit_test(tcp_is_served_over_tls_alone),
        cmocka_unit_test(what_cannot_be_served_is_refused),
        cmocka_unit_test(socket_is_for_owner_and_group_whatever_the_umask),
        cmocka_unit_test(live_socket_is_left_alone_and_a_stale_one_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
