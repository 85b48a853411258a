/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the client believes; and that who is not believed gets no byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/http_tls.h"
#include "tests/unit/net_peer.h"
#include "tests/unit/net_rig.h"

static void play_ok(struct peer_conn *c)
{
    char head[4096];

    while (peer_head(c, head, sizeof(head)))
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

/* A host with a certificate and everything one may believe of it. */
struct host {
    struct peer_cert ca, other_ca, cert;
    SSL_CTX *tls;
    struct peer *peer;
    struct rig rig;
    struct rig_call call;
};

/* name: what the certificate is for; the days: when it is valid. */
static void host_open(struct host *h, const char *name, int from, int to,
                      peer_play_fn *play)
{
    *h = (struct host){0};
    h->ca = peer_cert_new("our CA", true, NULL, -10, 10);
    h->other_ca = peer_cert_new("other CA", true, NULL, -10, 10);
    h->cert = peer_cert_new(name, false, &h->ca, from, to);
    h->tls = peer_tls(&h->cert);
    h->peer = peer_start(play, NULL, h->tls);
    rig_open(&h->rig, 4);
}

static void host_close(struct host *h)
{
    rig_close(&h->rig);
    peer_stop(h->peer);
    SSL_CTX_free(h->tls);
    peer_cert_free(&h->ca);
    peer_cert_free(&h->other_ca);
    peer_cert_free(&h->cert);
    rig_fini(&h->call);
}

/* One GET by this trust, which is dropped. */
static void host_get(struct host *h, struct http_trust *trust)
{
    struct http_transfer_opts opts = rig_opts(
        &h->call, "GET", rig_url("https", peer_port(h->peer), "/secret"));

    opts.trust = trust;
    rig_start(&h->rig, &h->call, &opts);
    http_trust_drop(trust); /* the transfer holds it */
    rig_run(&h->rig);
}

static struct http_trust *trust_ca(const struct peer_cert *cert)
{
    struct http_trust *t = NULL;
    struct err err = {0};
    char *pem = peer_cert_pem(cert);

    assert_int_equal(http_trust_ca(pem, &t, &err), ERR_OK);
    free(pem);
    return t;
}

static struct http_trust *trust_pin(const struct peer_cert *cert, int flip)
{
    struct http_trust *t = NULL;
    struct err err = {0};
    uint8_t pin[32];

    peer_cert_sha256(cert, pin);
    pin[31] = (uint8_t)(pin[31] ^ flip);
    assert_int_equal(http_trust_pin(pin, &t, &err), ERR_OK);
    return t;
}

static void assert_refused(struct host *h)
{
    assert_int_equal(h->call.err.code, ERR_UNREACHABLE);
    assert_true(h->call.err.detail == 60 || h->call.err.detail == 35);
    assert_int_equal(h->call.status, 0);
    assert_int_equal(h->call.wire, 0);
    /* What the other side decrypted. */
    peer_settle(h->peer);
    assert_int_equal(peer_bytes(h->peer), 0);
}

static void right_ca_and_name_are_believed(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    host_get(&h, trust_ca(&h.ca));
    if (h.call.err.code != ERR_OK)
        fail_msg("%s", h.call.err.text);
    assert_int_equal(h.call.status, 200);
    assert_true(peer_bytes(h.peer) > 0);
    host_close(&h);
}

static void certificate_itself_may_be_the_ca(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    host_get(&h, trust_ca(&h.cert));
    assert_int_equal(h.call.err.code, ERR_OK);
    host_close(&h);
}

static void wrong_ca_gets_no_byte(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    host_get(&h, trust_ca(&h.other_ca));
    assert_refused(&h);
    host_close(&h);
}

static void wrong_name_gets_no_byte(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "other.example", -1, 1, play_ok);
    host_get(&h, trust_ca(&h.ca));
    assert_refused(&h);
    host_close(&h);
}

static void expired_certificate_gets_no_byte(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -5, -1, play_ok);
    host_get(&h, trust_ca(&h.ca));
    assert_refused(&h);
    assert_non_null(strstr(h.call.err.text, "expired"));
    host_close(&h);
}

static void wrong_pin_gets_no_byte(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    host_get(&h, trust_pin(&h.cert, 1));
    assert_refused(&h);
    assert_non_null(strstr(h.call.err.text, "pinned"));
    /* The CA's pin is not the leaf's. */
    host_get(&h, trust_pin(&h.ca, 0));
    assert_refused(&h);
    host_close(&h);
}

static void play_nothing(struct peer_conn *c)
{
    (void)c;
}

/* A host that closes, or speaks another TLS, has shown no certificate: who
 * believes one by its pin must not be told that it was another. */
static void no_certificate_is_no_wrong_one(void **state)
{
    struct http_trust *t = NULL;
    struct err err = {0};
    struct host h;

    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        host_open(&h, "127.0.0.1", -1, 1, play_ok);
        if (closes) {
            peer_stop(h.peer);
            h.peer = peer_start(play_nothing, NULL, NULL);
        } else {
            SSL_CTX_set_max_proto_version(h.tls, TLS1_1_VERSION);
        }
        host_get(&h, trust_pin(&h.cert, 0));
        assert_refused(&h);
        assert_null(strstr(h.call.err.text, "certificate"));
        assert_int_equal(http_trust_show(&t, &err), ERR_OK);
        host_get(&h, t);
        assert_refused(&h);
        assert_null(strstr(h.call.err.text, "certificate"));
        host_close(&h);
    }
}

static void right_pin_needs_no_ca_no_name_and_no_date(void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "other.example", -5, -1, play_ok);
    host_get(&h, trust_pin(&h.cert, 0));
    assert_int_equal(h.call.err.code, ERR_OK);
    assert_int_equal(h.call.status, 200);
    host_close(&h);
}

/* The first connection serves one request; on the next the second request has
 * the client shake hands again. */
static void play_again(struct peer_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    char head[4096];

    if (c->index == 0 && peer_head(c, head, sizeof(head))) {
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                    "Connection: close\r\n\r\nok");
        return;
    }
    if (!peer_head(c, head, sizeof(head)) ||
        !peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") ||
        !peer_head(c, head, sizeof(head)))
        return;
    SSL_renegotiate(c->ssl);
    SSL_do_handshake(c->ssl); /* asks for it */
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    while (poll(&p, 1, 300) > 0 && SSL_peek(c->ssl, head, 1) <= 0 &&
           SSL_get_error(c->ssl, -1) == SSL_ERROR_WANT_READ)
        ;
    fcntl(c->fd, F_SETFL, 0);
    peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void a_trust_that_is_gone_is_not_asked_when_hands_are_shaken_again(
    void **state)
{
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_again);
    SSL_CTX_set_max_proto_version(h.tls, TLS1_2_VERSION);
    SSL_CTX_set_options(h.tls, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    for (unsigned i = 0; i < 3; i++) {
        host_get(&h, trust_pin(&h.cert, 0)); /* another each time */
        assert_int_equal(h.call.err.code, ERR_OK);
        assert_int_equal(h.call.status, 200);
        rig_fini(&h.call);
    }
    assert_int_equal(peer_connections(h.peer), 2);
    host_close(&h);
}

static void show_notes_the_leaf_and_trusts_nobody(void **state)
{
    uint8_t seen[32], want[32];
    struct http_trust *t = NULL;
    struct err err = {0};
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    assert_int_equal(http_trust_show(&t, &err), ERR_OK);
    assert_false(http_trust_seen(t, seen));
    host_get(&h, http_trust_hold(t));
    assert_refused(&h);
    assert_true(http_trust_seen(t, seen));
    peer_cert_sha256(&h.cert, want);
    assert_memory_equal(seen, want, 32);
    http_trust_drop(t);
    host_close(&h);
}

static void system_means_the_bundle_of_the_system(void **state)
{
    char path[] = "/tmp/cairn-test-ca-XXXXXX";
    struct http_trust *t = NULL;
    struct err err = {0};
    struct host h;
    char *pem;
    int fd;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    assert_int_equal(http_trust_system(&t, &err), ERR_OK);
    host_get(&h, t);
    assert_refused(&h);
    /* As OpenSSL's programs understand this variable. */
    pem = peer_cert_pem(&h.ca);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
    close(fd);
    free(pem);
    setenv("SSL_CERT_FILE", path, 1);
    assert_int_equal(http_trust_system(&t, &err), ERR_OK);
    host_get(&h, t);
    assert_int_equal(h.call.err.code, ERR_OK);
    unlink(path);
    assert_int_equal(http_trust_system(&t, &err), ERR_IO);
    unsetenv("SSL_CERT_FILE");
    host_close(&h);
}

static void
kept_connection_serves_nobody_who_believes_other_things(void **state)
{
    struct http_trust *t = NULL;
    struct err err = {0};
    uint64_t bytes;
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_ok);
    host_get(&h, trust_pin(&h.cert, 0));
    assert_int_equal(h.call.err.code, ERR_OK);
    bytes = peer_bytes(h.peer);
    /* The connection is kept, and none of these may go over it. */
    host_get(&h, trust_pin(&h.cert, 1));
    assert_int_equal(h.call.err.code, ERR_UNREACHABLE);
    host_get(&h, trust_ca(&h.other_ca));
    assert_int_equal(h.call.err.code, ERR_UNREACHABLE);
    assert_int_equal(http_trust_show(&t, &err), ERR_OK);
    host_get(&h, t);
    assert_int_equal(h.call.err.code, ERR_UNREACHABLE);
    assert_int_equal(peer_bytes(h.peer), bytes);
    assert_int_equal(peer_connections(h.peer), 4);
    /* The same belief, another object. */
    host_get(&h, trust_pin(&h.cert, 0));
    assert_int_equal(h.call.err.code, ERR_OK);
    assert_int_equal(peer_connections(h.peer), 4);
    host_get(&h, trust_ca(&h.ca));
    host_get(&h, trust_ca(&h.ca));
    assert_int_equal(h.call.err.code, ERR_OK);
    assert_int_equal(peer_connections(h.peer), 5);
    host_close(&h);
}

static void play_cut(struct peer_conn *c)
{
    char head[4096];

    peer_head(c, head, sizeof(head));
    peer_say(c, "HTTP/1.0 200 OK\r\n\r\nall of it");
    /* No close_notify: what stunnel in front of XAPI may leave out. */
    SSL_set_quiet_shutdown(c->ssl, 1);
}

static void raw_end_takes_a_close_without_close_notify(void **state)
{
    struct http_transfer_opts opts;
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_cut);
    opts = rig_opts(&h.call, "GET",
                    rig_url("https", peer_port(h.peer), "/export"));
    opts.trust = trust_pin(&h.cert, 0);
    opts.raw_end = true;
    rig_start(&h.rig, &h.call, &opts);
    http_trust_drop(opts.trust);
    rig_run(&h.rig);
    assert_int_equal(h.call.err.code, ERR_OK);
    assert_string_equal(buf_text(&h.call.body), "all of it");
    host_close(&h);
}

#define CRUMBS 100

/* All of an answer in one packet, a record for each few bytes; then silence. */
static void play_crumbs(struct peer_conn *c)
{
    char head[4096], crumb[100];
    bool chunked;
    int on = 1;

    while (peer_head(c, head, sizeof(head))) {
        chunked = strstr(head, "/chunked") != NULL;
        setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
        peer_say(c, "HTTP/1.1 200 OK\r\n");
        if (chunked)
            snprintf(crumb, sizeof(crumb), "Transfer-Encoding: chunked\r\n");
        else
            snprintf(crumb, sizeof(crumb), "Content-Length: %d\r\n",
                     CRUMBS * 10);
        peer_say(c, crumb);
        peer_say(c, "\r\n");
        for (int i = 0; i < CRUMBS; i++) {
            snprintf(crumb, sizeof(crumb), "crumb %03d.", i);
            if (chunked)
                peer_say(c, "a\r\n");
            peer_say(c, crumb);
            if (chunked)
                peer_say(c, "\r\n");
        }
        if (chunked)
            peer_say(c, "0\r\n\r\n");
        setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int));
    }
}

struct pecker {
    struct timer later;
    struct rig_call *call;
    unsigned refused;
};

static void on_later(struct timer *timer)
{
    rig_resume(((struct pecker *)timer)->call);
}

/* Every tenth piece is taken at the second try only. */
static bool peck(struct rig_call *c, const uint8_t *data, size_t len)
{
    struct pecker *p = c->user;

    if (p && c->body.len / 100 >= p->refused) {
        p->refused++;
        timer_start(c->rig->loop, &p->later, 5, on_later);
        return false;
    }
    return buf_add(&c->body, data, len);
}

static void
records_that_come_together_are_all_read_before_the_next_packet(void **state)
{
    static const char *const paths[] = {"/whole", "/chunked"};
    struct host h;

    (void)state;
    host_open(&h, "127.0.0.1", -1, 1, play_crumbs);
    for (int i = 0; i < 4; i++) {
        struct pecker p = {.call = &h.call};
        struct http_transfer_opts opts = rig_opts(
            &h.call, "GET", rig_url("https", peer_port(h.peer), paths[i % 2]));

        h.call.on_piece = peck;
        h.call.user = i < 2 ? NULL : &p;
        opts.trust = trust_pin(&h.cert, 0);
        opts.stall_ms = 5000;
        rig_start(&h.rig, &h.call, &opts);
        http_trust_drop(opts.trust);
        rig_run(&h.rig);
        if (h.call.err.code != ERR_OK)
            fail_msg("%s: %s", paths[i % 2], h.call.err.text);
        assert_int_equal(h.call.body.len, CRUMBS * 10);
        assert_memory_equal(h.call.body.data + 990, "crumb 099.", 10);
        assert_int_equal(p.refused, i < 2 ? 0 : 10);
    }
    assert_int_equal(peer_connections(h.peer), 1);
    host_close(&h);
}

static void https_needs_a_trust(void **state)
{
    struct http_transfer_opts opts;
    struct http_transfer *t = NULL;
    struct rig_call c = {0};
    struct err err = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 1);
    opts = rig_opts(&c, "GET", rig_url("https", 1, "/"));
    assert_int_equal(http_transfer_start(r.client, &opts, &t, &err),
                     ERR_ARGUMENT);
    assert_null(t);
    rig_close(&r);
}

static void pem_text_must_hold_whole_certificates(void **state)
{
    struct peer_cert ca = peer_cert_new("CA", true, NULL, -1, 1);
    struct peer_cert second = peer_cert_new("CA 2", true, NULL, -1, 1);
    char *pem = peer_cert_pem(&ca), *pem2 = peer_cert_pem(&second), *both;
    char *key = peer_key_pem(&ca);
    struct http_trust *t = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(http_trust_ca("", &t, &err), ERR_ARGUMENT);
    assert_int_equal(http_trust_ca("no PEM", &t, &err), ERR_ARGUMENT);
    assert_int_equal(http_trust_ca(key, &t, &err), ERR_ARGUMENT);
    assert_true(asprintf(&both, "comment\n%s\n%s", pem, pem2) > 0);
    assert_int_equal(http_trust_ca(both, &t, &err), ERR_OK);
    http_trust_drop(t);
    t = NULL;
    /* A second one that is damaged must not be left out silently. */
    both[strlen(both) - 60] = '!';
    assert_int_equal(http_trust_ca(both, &t, &err), ERR_ARGUMENT);
    assert_null(t);
    free(both);
    free(pem);
    free(pem2);
    free(key);
    peer_cert_free(&ca);
    peer_cert_free(&second);
}

static void pins_are_read_in_their_usual_forms(void **state)
{
    static const char hex[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
    char colons[96] = "", text[200];
    uint8_t pin[32];

    (void)state;
    assert_true(http_trust_parse_pin(hex, pin));
    for (int i = 0; i < 31; i++)
        assert_int_equal(pin[i], i);
    assert_int_equal(pin[31], 0xff);
    for (size_t i = 0; i < 32; i++)
        snprintf(colons + 3 * i, 4, "%02X%s", pin[i], i < 31 ? ":" : "");
    memset(pin, 0xee, 32);
    assert_true(http_trust_parse_pin(colons, pin));
    assert_int_equal(pin[31], 0xff);
    assert_int_equal(pin[10], 10);
    snprintf(text, sizeof(text), "sha256:%s", hex);
    assert_true(http_trust_parse_pin(text, pin));
    snprintf(text, sizeof(text), "SHA256:%s", colons);
    assert_true(http_trust_parse_pin(text, pin));
    assert_false(http_trust_parse_pin("", pin));
    assert_false(http_trust_parse_pin(hex + 1, pin));
    assert_false(http_trust_parse_pin(hex + 2, pin));
    snprintf(text, sizeof(text), "%s00", hex);
    assert_false(http_trust_parse_pin(text, pin));
    snprintf(text, sizeof(text), " %s", hex + 1);
    assert_false(http_trust_parse_pin(text, pin));
    colons[5] = '-';
    assert_false(http_trust_parse_pin(colons, pin));
    snprintf(text, sizeof(text), "md5:%s", hex);
    assert_false(http_trust_parse_pin(text, pin));
    snprintf(text, sizeof(text), "%s", hex);
    text[63] = 'g';
    assert_false(http_trust_parse_pin(text, pin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_ca_and_name_are_believed),
        cmocka_unit_test(certificate_itself_may_be_the_ca),
        cmocka_unit_test(wrong_ca_gets_no_byte),
        cmocka_unit_test(wrong_name_gets_no_byte),
        cmocka_unit_test(expired_certificate_gets_no_byte),
        cmocka_unit_test(wrong_pin_gets_no_byte),
        cmocka_unit_test(no_certificate_is_no_wrong_one),
        cmocka_unit_test(right_pin_needs_no_ca_no_name_and_no_date),
        cmocka_unit_test(
            a_trust_that_is_gone_is_not_asked_when_hands_are_shaken_again),
        cmocka_unit_test(show_notes_the_leaf_and_trusts_nobody),
        cmocka_unit_test(system_means_the_bundle_of_the_system),
        cmocka_unit_test(
            kept_connection_serves_nobody_who_believes_other_things),
        cmocka_unit_test(raw_end_takes_a_close_without_close_notify),
        cmocka_unit_test(
            records_that_come_together_are_all_read_before_the_next_packet),
        cmocka_unit_test(https_needs_a_trust),
        cmocka_unit_test(pem_text_must_hold_whole_certificates),
        cmocka_unit_test(pins_are_read_in_their_usual_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
