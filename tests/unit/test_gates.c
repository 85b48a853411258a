/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/gates.h"
#include "loop/timer.h"

struct bench {
    struct loop *loop;
    struct gates *gates;
    struct timer end;
    char order[16];
};

struct one {
    struct gates_need need; /* first */
    struct bench *bench;
    char name;
};

static void on_open(struct gates_need *need)
{
    struct one *o = (struct one *)need;
    size_t n = strlen(o->bench->order);

    o->bench->order[n] = o->name;
    o->bench->order[n + 1] = 0;
}

static void on_end(struct timer *t)
{
    struct bench *b = (struct bench *)(void *)((char *)t -
                          offsetof(struct bench, end));

    loop_stop(b->loop);
}

/* Deliver what is on its way. */
static void turn(struct bench *b)
{
    timer_start(b->loop, &b->end, 0, on_end);
    loop_run(b->loop);
}

static void set_up(struct bench *b)
{
    struct err err;

    memset(b, 0, sizeof(*b));
    assert_int_equal(loop_new("test", NULL, &b->loop, &err), ERR_OK);
    b->gates = gates_new(b->loop);
    assert_non_null(b->gates);
}

static void tear_down(struct bench *b)
{
    gates_free(b->gates);
    loop_free(b->loop);
}

static void enter(struct bench *b, struct one *o, char name, const char *first,
                  const char *second, unsigned limit)
{
    memset(o, 0, sizeof(*o));
    o->bench = b;
    o->name = name;
    o->need.open = on_open;
    assert_true(gates_need_add(&o->need, first, limit));
    if (second)
        assert_true(gates_need_add(&o->need, second, limit));
    assert_true(gates_enter(b->gates, &o->need));
}

static void enter_as(struct bench *b, struct one *o, char name, uint64_t tenant,
                     const char *gate, unsigned limit)
{
    memset(o, 0, sizeof(*o));
    o->bench = b;
    o->name = name;
    o->need.tenant = tenant;
    o->need.open = on_open;
    assert_true(gates_need_add(&o->need, gate, limit));
    assert_true(gates_enter(b->gates, &o->need));
}

static void a_gate_lets_in_as_many_as_its_limit(void **state)
{
    struct bench b;
    struct one x, y, z;

    (void)state;
    set_up(&b);
    enter(&b, &x, 'x', "sr", NULL, 2);
    enter(&b, &y, 'y', "sr", NULL, 2);
    enter(&b, &z, 'z', "sr", NULL, 2);
    assert_string_equal(b.order, ""); /* never from inside */
    turn(&b);
    assert_string_equal(b.order, "xy");
    gates_leave(&x.need);
    turn(&b);
    assert_string_equal(b.order, "xyz");
    gates_leave(&y.need);
    gates_leave(&z.need);
    gates_leave(&z.need); /* twice is harmless */
    tear_down(&b);
}

static void who_needs_two_gates_holds_none_while_waiting(void **state)
{
    struct bench b;
    struct one x, y, z;

    (void)state;
    set_up(&b);
    enter(&b, &x, 'x', "a", NULL, 1);
    enter(&b, &y, 'y', "a", "b", 1);
    enter(&b, &z, 'z', "c", NULL, 1);
    turn(&b);
    assert_string_equal(b.order, "xz"); /* z shares no gate with y */
    gates_leave(&x.need);
    turn(&b);
    assert_string_equal(b.order, "xzy");
    gates_leave(&y.need);
    gates_leave(&z.need);
    tear_down(&b);
}

/* Else small needs would pass a large one for ever. */
static void nobody_passes_who_waits_for_the_same_gate(void **state)
{
    struct bench b;
    struct one x, y, z;

    (void)state;
    set_up(&b);
    enter(&b, &x, 'x', "a", NULL, 1);
    enter(&b, &y, 'y', "a", "b", 1);
    enter(&b, &z, 'z', "b", NULL, 1);
    turn(&b);
    assert_string_equal(b.order, "x");
    gates_leave(&y.need); /* gives up: z is free to go */
    turn(&b);
    assert_string_equal(b.order, "xz");
    gates_leave(&x.need);
    gates_leave(&z.need);
    tear_down(&b);
}

/* As a VM on an idle SR whose host has room for more exports. */
static void who_waits_elsewhere_keeps_a_place_and_no_more(void **state)
{
    struct bench b;
    struct one v, w, x, y, z;

    (void)state;
    set_up(&b);
    enter(&b, &v, 'v', "busy sr", NULL, 1);
    w = (struct one){.need = {.open = on_open}, .bench = &b, .name = 'w'};
    assert_true(gates_need_add(&w.need, "busy sr", 1));
    assert_true(gates_need_add(&w.need, "host", 3));
    assert_true(gates_enter(b.gates, &w.need));
    enter(&b, &x, 'x', "host", NULL, 3);
    enter(&b, &y, 'y', "host", NULL, 3);
    enter(&b, &z, 'z', "host", NULL, 3);
    turn(&b);
    assert_string_equal(b.order, "vxy"); /* the third place is w's */
    gates_leave(&v.need);
    turn(&b);
    assert_string_equal(b.order, "vxyw");
    gates_leave(&x.need);
    turn(&b);
    assert_string_equal(b.order, "vxywz");
    gates_leave(&w.need);
    gates_leave(&y.need);
    gates_leave(&z.need);
    tear_down(&b);
}

/* Tenant 1 stays in; what it has waiting does not keep tenant 2 waiting. */
static void the_tenant_of_whom_fewer_are_in_is_next(void **state)
{
    struct bench b;
    struct one a[4], x[2];
    const char names[] = "abcd";

    (void)state;
    set_up(&b);
    for (int i = 0; i < 4; i++)
        enter_as(&b, &a[i], names[i], 1, "sr", 3);
    enter_as(&b, &x[0], 'x', 2, "sr", 3);
    enter_as(&b, &x[1], 'y', 2, "sr", 3);
    turn(&b);
    assert_string_equal(b.order, "abc");
    gates_leave(&a[0].need);
    turn(&b);
    assert_string_equal(b.order, "abcx");
    gates_leave(&x[0].need);
    turn(&b);
    assert_string_equal(b.order, "abcxy");
    gates_leave(&x[1].need);
    turn(&b);
    assert_string_equal(b.order, "abcxyd");
    for (int i = 1; i < 4; i++)
        gates_leave(&a[i].need);
    tear_down(&b);
}

static void who_leaves_before_the_mail_is_not_told(void **state)
{
    struct bench b;
    struct one x, y;

    (void)state;
    set_up(&b);
    enter(&b, &x, 'x', "a", NULL, 1);
    gates_leave(&x.need);
    memset(&x, 0x5a, sizeof(x)); /* its memory is the owner's again */
    enter(&b, &y, 'y', "a", NULL, 1);
    turn(&b);
    assert_string_equal(b.order, "y");
    gates_leave(&y.need);
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_lets_in_as_many_as_its_limit),
        cmocka_unit_test(who_needs_two_gates_holds_none_while_waiting),
        cmocka_unit_test(nobody_passes_who_waits_for_the_same_gate),
        cmocka_unit_test(who_waits_elsewhere_keeps_a_place_and_no_more),
        cmocka_unit_test(the_tenant_of_whom_fewer_are_in_is_next),
        cmocka_unit_test(who_leaves_before_the_mail_is_not_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
