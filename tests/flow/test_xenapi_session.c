/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xml.h"
#include "pool_rig.h"
#include "xenapi/xenapi_probe.h"

/* A coordinator, two members; a shared SR, a thick one. */
static const char pools[] =
    "[{\"name\": \"paris\","
    "  \"hosts\": [{\"name\": \"p1\"}, {\"name\": \"p2\"}, {\"name\": \"p3\"}],"
    "  \"srs\": [{\"name\": \"fast\", \"shared\": true},"
    "            {\"name\": \"thick\", \"type\": \"lvm\", \"size\": \"1 GiB\","
    "             \"used\": \"960 MiB\"}],"
    "  \"networks\": [{\"name\": \"eth0\", \"bridge\": \"xenbr0\"},"
    "                 {\"name\": \"lan\", \"bridge\": \"xapi7\"}],"
    "  \"vms\": [{\"name\": \"web\", \"tags\": [\"gold\", \"eu\"],"
    "    \"other_config\": {\"owner\": \"acme\", \"a\": \"1\"},"
    "    \"description\": \"front & back\", \"cds\": 1,"
    "    \"disks\": [{\"sr\": \"fast\", \"size\": \"8 MiB\"},"
    "                {\"sr\": \"thick\", \"size\": \"48 MiB\"},"
    "                {\"sr\": \"thick\", \"size\": \"32 MiB\"}],"
    "    \"nics\": [{\"network\": \"lan\", \"mac\": \"02:00:00:00:00:07\"},"
    "               {\"network\": \"eth0\", \"mtu\": 9000}]},"
    "   {\"name\": \"db\", \"power_state\": \"Halted\","
    "    \"disks\": [{\"sr\": \"thick\", \"size\": \"64 MiB\"}]},"
    "   {\"name\": \"tpl\", \"template\": true, \"power_state\": \"Halted\"}"
    "  ]}]";

static struct pool_rig rig;

static int open_rig(void **state)
{
    *state = &rig;
    pool_rig_open(&rig, pools);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    pool_rig_close(&rig);
    return 0;
}

static void an_inventory_tells_what_the_pool_has(void **state)
{
    const struct xenapi_inventory *inv;
    const struct xenapi_vm *vm;
    struct pool_rig_end e;
    size_t n;

    (void)state;
    pool_rig_inventory(&rig, &e, NULL);
    inv = e.inventory;
    assert_string_equal(inv->pool_name, "paris");
    assert_int_equal(inv->host_count, 3);
    n = 0;
    for (size_t i = 0; i < 3; i++) {
        n += inv->hosts[i].coordinator;
        assert_true(inv->hosts[i].enabled);
        assert_string_equal(inv->hosts[i].product_version, "8.3.0");
        assert_int_equal(inv->hosts[i].api_minor, 23);
    }
    assert_int_equal(n, 1);
    /* A template of the user's, no default template, no dom0. */
    assert_int_equal(inv->vm_count, 3);
    n = 0;
    for (size_t i = 0; i < inv->vm_count; i++)
        n += inv->vms[i].is_template;
    assert_int_equal(n, 1);
    vm = xenapi_inventory_vm(inv, pool_rig_vm(&rig, "web"));
    assert_string_equal(vm->name, "web");
    assert_string_equal(vm->description, "front & back");
    assert_int_equal(vm->power, XENAPI_RUNNING);
    assert_int_equal(vm->tag_count, 2);
    assert_string_equal(xenapi_inventory_other_config(vm, "owner"), "acme");
    assert_null(xenapi_inventory_other_config(vm, "none"));
    assert_int_equal(vm->disk_count, 3); /* and no CD */
    assert_string_equal(vm->disks[0].userdevice, "0");
    assert_int_equal(vm->disks[0].virtual_size, 8 << 20);
    assert_true(vm->disks[0].bootable && vm->disks[0].attached);
    assert_string_equal(vm->disks[0].sr->name, "fast");
    assert_false(vm->disks[0].sr->thick);
    assert_int_equal(vm->disks[0].sr->host_count, 3);
    assert_int_equal(vm->disks[1].virtual_size, 48 << 20);
    assert_true(vm->disks[1].sr->thick);
    assert_int_equal(vm->nic_count, 2);
    assert_string_equal(vm->nics[0].mac, "02:00:00:00:00:07");
    assert_string_equal(vm->nics[0].network->bridge, "xapi7");
    assert_int_equal(vm->nics[1].mtu, 9000);
    assert_ptr_equal(xenapi_inventory_sr_by_name(inv, "thick", &n),
                     vm->disks[1].sr);
    assert_int_equal(n, 1);
    assert_null(xenapi_inventory_network_by_name(inv, "wan", &n));
    pool_rig_end_fini(&e);
}

/* web needs 80 MiB on the thick SR, which has at most 64 left; db's 64 are
 * taken from that as well. */
static void a_thick_sr_without_room_is_seen_beforehand(void **state)
{
    struct pool_rig_end e;
    struct err err = {0};

    (void)state;
    pool_rig_inventory(&rig, &e, pool_rig_vm(&rig, "web"));
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(e.inventory->vm_count, 1);
    assert_int_equal(xenapi_inventory_snapshot_room(&e.inventory->vms[0], &err),
                     ERR_QUOTA);
    assert_non_null(strstr(err.text, "SR thick is of type lvm"));
    assert_non_null(strstr(err.text, "80.0 MiB needed"));
    pool_rig_end_fini(&e);
}

static void one_vm_is_told_with_what_it_uses(void **state)
{
    struct pool_rig_end e;

    (void)state;
    pool_rig_inventory(&rig, &e, pool_rig_vm(&rig, "web"));
    assert_int_equal(e.inventory->vms[0].disk_count, 3);
    assert_int_equal(e.inventory->vms[0].nic_count, 2);
    assert_int_equal(e.inventory->sr_count, 2);
    pool_rig_end_fini(&e);
    pool_rig_inventory(&rig, &e, "00000000-0000-4000-8000-000000000000");
    assert_int_equal(e.err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(e.err.text, "pool paris: VM.get_by_uuid: "
                                       "UUID_INVALID"));
    pool_rig_end_fini(&e);
}

static void a_wrong_password_is_sent_once(void **state)
{
    struct pool_rig_opts o;
    struct pool_rig_end e;
    struct err health;

    (void)state;
    pool_rig_opts(&rig, &o);
    o.session.password = "wrong";
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    for (int i = 0; i < 4; i++) {
        pool_rig_ask(&rig, &e);
        assert_int_equal(e.err.code, ERR_DENIED);
        assert_non_null(strstr(e.err.text, "pool paris does not accept the "
                                           "password of user root"));
        pool_rig_end_fini(&e);
    }
    assert_int_equal(sim_counter(&rig.sim, "failed_logins"), 1);
    xenapi_session_health(rig.session, &health);
    assert_int_equal(health.code, ERR_DENIED);
    xenapi_session_set_password(rig.session, "secret");
    pool_rig_expect(&rig);
    xenapi_session_health(rig.session, &health);
    assert_int_equal(health.code, ERR_OK);
}

static void a_member_sends_us_to_the_coordinator(void **state)
{
    struct pool_rig_opts o;

    (void)state;
    pool_rig_opts(&rig, &o);
    snprintf(o.host, sizeof(o.host), "%s:%d",
             sim_host(&rig.sim, 0, 1, "address"),
             (int)sim_host_port(&rig.sim, 0, 1));
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    pool_rig_expect(&rig);
    assert_string_equal(xenapi_session_coordinator(rig.session),
                        sim_host(&rig.sim, 0, 0, "address"));
}

static void hosts_that_name_each_other_end_in_an_error(void **state)
{
    struct pool_rig_end e;

    (void)state;
    sim_fault(&rig.sim,
              "{\"name\": \"host_is_slave\", \"count\": 0, "
              "\"address\": \"%s\"}",
              sim_host(&rig.sim, 0, 1, "address"));
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_PROTOCOL);
    assert_non_null(strstr(e.err.text, "no one is coordinator"));
    pool_rig_end_fini(&e);
}

static void a_lost_session_is_replaced(void **state)
{
    struct pool_rig_end e;

    (void)state;
    pool_rig_expect(&rig);
    sim_do(&rig.sim, "/sim/sessions/expire", "{\"pool\": \"paris\"}");
    pool_rig_expect(&rig);
    assert_int_equal(sim_rpc_count(&rig.sim, "session.login_with_password"), 2);
    /* It is shared: others' calls may cost us the next one, too, ... */
    sim_fault(&rig.sim, "{\"name\": \"session_invalid\", \"count\": 3, "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_expect(&rig);
    /* ... and not for ever. */
    sim_fault(&rig.sim, "{\"name\": \"session_invalid\", \"count\": 0, "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_AGAIN);
    assert_string_equal(e.code, "SESSION_INVALID");
    assert_null(strstr(e.err.text, "OpaqueRef"));
    pool_rig_end_fini(&e);
}

static void sessions_are_left_behind_nowhere(void **state)
{
    struct json *j;

    (void)state;
    pool_rig_expect(&rig);
    pool_rig_end_session(&rig);
    assert_int_equal(sim_rpc_count(&rig.sim, "session.logout"), 1);
    j = sim_call(&rig.sim, "/sim/state", NULL);
    assert_int_equal(
        json_count(json_get(json_at(json_get(j, "pools"), 0), "sessions")), 0);
    json_free(j);
}

static void a_booting_host_is_waited_for_within_bounds(void **state)
{
    struct pool_rig_end e;

    (void)state;
    sim_fault(&rig.sim, "{\"name\": \"host_still_booting\", \"count\": 3}");
    pool_rig_expect(&rig);
    pool_rig_session(&rig, NULL);
    sim_fault(&rig.sim, "{\"name\": \"host_still_booting\", \"count\": 0}");
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_AGAIN);
    assert_non_null(strstr(e.err.text, "HOST_STILL_BOOTING"));
    pool_rig_end_fini(&e);
}

static void nobody_there_is_unreachable_at_once(void **state)
{
    struct pool_rig_opts o;
    struct pool_rig_end e;

    (void)state;
    pool_rig_opts(&rig, &o);
    snprintf(o.host, sizeof(o.host), "127.0.0.1:1");
    o.session.peers = NULL;
    o.session.peer_count = 0;
    o.session.trust = o.peers[0].trust;
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(e.err.text, "pool paris"));
    pool_rig_end_fini(&e);
}

static void another_coordinator_is_found_among_the_members(void **state)
{
    (void)state;
    pool_rig_expect(&rig);
    sim_do(&rig.sim, "/sim/pool/coordinator", "{\"host\": \"p3\"}");
    sim_do(&rig.sim, "/sim/host/down", "{\"host\": \"p1\", \"down\": true}");
    pool_rig_expect(&rig);
    assert_string_equal(xenapi_session_coordinator(rig.session),
                        sim_host(&rig.sim, 0, 2, "address"));
    sim_do(&rig.sim, "/sim/host/down", "{\"host\": \"p1\", \"down\": false}");
    sim_do(&rig.sim, "/sim/pool/coordinator", "{\"host\": \"p1\"}");
    pool_rig_expect(&rig); /* HOST_IS_SLAVE, in the middle of a session */
}

static void a_restarted_toolstack_is_waited_for(void **state)
{
    (void)state;
    pool_rig_expect(&rig);
    for (int i = 1; i <= 3; i++)
        sim_do(&rig.sim, "/sim/host/down",
               "{\"host\": \"p%d\", \"down\": true}", i);
    {
        struct pool_rig_end e;

        pool_rig_ask(&rig, &e); /* within timing.booting nobody came back */
        assert_int_equal(e.err.code, ERR_UNREACHABLE);
        pool_rig_end_fini(&e);
    }
    for (int i = 1; i <= 3; i++)
        sim_do(&rig.sim, "/sim/host/down",
               "{\"host\": \"p%d\", \"down\": false}", i);
    pool_rig_expect(&rig);
}

static void no_byte_is_sent_to_whom_we_do_not_trust(void **state)
{
    struct pool_rig_opts o;
    struct pool_rig_end e;
    struct err err = {0};
    uint8_t wrong[32] = {1};

    (void)state;
    pool_rig_opts(&rig, &o);
    http_trust_drop(o.peers[0].trust);
    assert_int_equal(http_trust_pin(wrong, &o.peers[0].trust, &err), ERR_OK);
    o.session.peer_count = 1;
    pool_rig_session(&rig, &o);
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_UNREACHABLE);
    pool_rig_end_fini(&e);
    /* no trust at all */
    o.session.peer_count = 0;
    pool_rig_session(&rig, &o);
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(e.err.text, "no certificate of it has been "
                                       "accepted"));
    pool_rig_end_fini(&e);
    pool_rig_opts_fini(&o);
    assert_int_equal(sim_counter(&rig.sim, "requests"), 0);
}

static void a_certificate_that_changed_is_refused(void **state)
{
    struct pool_rig_opts o;
    struct pool_rig_end e;

    (void)state;
    pool_rig_opts(&rig, &o);
    sim_do(&rig.sim, "/sim/host/certificate", "{\"host\": \"p1\"}");
    pool_rig_new_client(&rig); /* kept connections were verified before */
    o.session.client = rig.client;
    o.session.peer_count = 1;
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_UNREACHABLE);
    pool_rig_end_fini(&e);
    assert_int_equal(sim_counter(&rig.sim, "requests"), 0);
}

/* The others want to know the certificate: begin anew. */
static int after_new_certificate(void **state)
{
    return close_rig(state) || open_rig(state);
}

struct seen {
    unsigned done;
    bool seen;
    char hex[65];
    struct err err;
};

static void on_probed(void *ctx, const struct err *err, const uint8_t *sha256)
{
    struct seen *seen = ctx;

    seen->done++;
    seen->err = *err;
    seen->seen = sha256 != NULL;
    if (sha256)
        bytes_hex(sha256, 32, seen->hex);
    pool_rig_wake(&rig);
}

static void a_probe_shows_the_certificate_and_sends_nothing(void **state)
{
    struct seen seen = {0};
    char host[64];
    struct xenapi_probe_opts o = {
        .client = rig.client, .host = host, .done = on_probed, .ctx = &seen};
    struct err err = {0};

    (void)state;
    snprintf(host, sizeof(host), "%s:%d", sim_host(&rig.sim, 0, 1, "address"),
             (int)sim_host_port(&rig.sim, 0, 1));
    assert_int_equal(xenapi_probe_start(&o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &seen.done, 1);
    assert_true(seen.seen);
    assert_string_equal(seen.hex, sim_host(&rig.sim, 0, 1, "fingerprint"));
    assert_int_equal(sim_counter(&rig.sim, "requests"), 0);
    seen.done = 0;
    snprintf(host, sizeof(host), "127.0.0.1:1");
    assert_int_equal(xenapi_probe_start(&o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &seen.done, 1);
    assert_false(seen.seen);
    assert_int_equal(seen.err.code, ERR_UNREACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pool_rig_before, \
                                                   pool_rig_after)
        TEST(an_inventory_tells_what_the_pool_has),
        TEST(a_thick_sr_without_room_is_seen_beforehand),
        TEST(one_vm_is_told_with_what_it_uses),
        TEST(a_wrong_password_is_sent_once),
        TEST(a_member_sends_us_to_the_coordinator),
        TEST(hosts_that_name_each_other_end_in_an_error),
        TEST(a_lost_session_is_replaced),
        TEST(sessions_are_left_behind_nowhere),
        TEST(a_booting_host_is_waited_for_within_bounds),
        TEST(nobody_there_is_unreachable_at_once),
        TEST(another_coordinator_is_found_among_the_members),
        TEST(a_restarted_toolstack_is_waited_for),
        TEST(no_byte_is_sent_to_whom_we_do_not_trust),
        cmocka_unit_test_setup_teardown(a_certificate_that_changed_is_refused,
                                        pool_rig_before, after_new_certificate),
        TEST(a_probe_shows_the_certificate_and_sends_nothing),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
