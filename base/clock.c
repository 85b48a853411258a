/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* 9999-12-31T23:59:59: the last second that has a text form. */
#define LAST_SECOND UINT64_C(253402300799)

static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun",
                                     "Mon", "Tue", "Wed"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr",
                                        "May", "Jun", "Jul", "Aug",
                                        "Sep", "Oct", "Nov", "Dec"};

struct civil {
    unsigned year, month, day, hour, minute, second;
    unsigned weekday; /* 0: Thursday, as 1970-01-01 was */
};

static uint64_t read_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t system_wall_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_REALTIME);
}

static uint64_t system_mono_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void)
{
    static const struct clock kernel = {system_wall_ms, system_mono_ms, NULL};

    return &kernel;
}

uint64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->ctx);
}

uint64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ms(c->ctx);
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30,
                                           31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Leap years from 1970 to the year before `year`. */
static uint64_t leap_days(uint64_t year)
{
    uint64_t y = year - 1;

    return (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static uint64_t year_start(unsigned year)
{
    return (uint64_t)(year - 1970) * 365 + leap_days(year);
}

static struct civil to_civil(uint64_t wall_ms)
{
    uint64_t seconds = wall_ms / 1000;
    uint64_t days;
    struct civil c;

    if (seconds > LAST_SECOND)
        seconds = LAST_SECOND;
    days = seconds / 86400;
    c.weekday = (unsigned)(days % 7);
    c.hour = (unsigned)(seconds % 86400 / 3600);
    c.minute = (unsigned)(seconds % 3600 / 60);
    c.second = (unsigned)(seconds % 60);
    /* At most one too late: no year has over 366 days. */
    c.year = 1970 + (unsigned)(days / 365);
    while (year_start(c.year) > days)
        c.year--;
    days -= year_start(c.year);
    for (c.month = 1; days >= month_days(c.year, c.month); c.month++)
        days -= month_days(c.year, c.month);
    c.day = (unsigned)days + 1;
    return c;
}

static bool from_civil(struct civil *c, uint64_t *wall_ms)
{
    uint64_t days;

    if (c->year < 1970 || c->month < 1 || c->month > 12 || c->day < 1 ||
        c->day > month_days(c->year, c->month) || c->hour > 23 ||
        c->minute > 59 || c->second > 59)
        return false;
    days = year_start(c->year) + c->day - 1;
    for (unsigned m = 1; m < c->month; m++)
        days += month_days(c->year, m);
    c->weekday = (unsigned)(days % 7);
    *wall_ms =
        (((days * 24 + c->hour) * 60 + c->minute) * 60 + c->second) * 1000;
    return true;
}

/*
 * The forms as they are read: a run of y o d h m s is the digits of the year,
 * month, day, hour, minute or second; bbb is the name of a month, www that of
 * a weekday; all else stands for itself.
 */
static const char rfc3339[] = "yyyy-oo-ddThh:mm:ssZ";
static const char compact[] = "yyyyooddThhmmssZ";
static const char xapi[] = "yyyyooddThh:mm:ssZ";
static const char http[] = "www, dd bbb yyyy hh:mm:ss GMT";

static unsigned *number_of(struct civil *c, char mark)
{
    switch (mark) {
    case 'y':
        return &c->year;
    case 'o':
        return &c->month;
    case 'd':
        return &c->day;
    case 'h':
        return &c->hour;
    case 'm':
        return &c->minute;
    case 's':
        return &c->second;
    default:
        return NULL;
    }
}

static bool read_name(const char *text, const char (*names)[4], unsigned count,
                      unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (memcmp(text, names[i], 3) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* text and form have the same length, so no step reads past the end. */
static bool read_form(const char *form, const char *text, uint64_t *wall_ms)
{
    struct civil c = {0};
    unsigned month_name = 0, weekday = 7;
    uint64_t ms;

    if (strlen(text) != strlen(form))
        return false;
    for (; *form; form++, text++) {
        unsigned *number = number_of(&c, *form);

        if (number) {
            if (*text < '0' || *text > '9')
                return false;
            *number = *number * 10 + (unsigned)(*text - '0');
        } else if (*form == 'b' || *form == 'w') {
            if (*form == 'b' ? !read_name(text, month_names, 12, &month_name)
                             : !read_name(text, day_names, 7, &weekday))
                return false;
            c.month = *form == 'b' ? month_name + 1 : c.month;
            form += 2;
            text += 2;
        } else if (*text != *form) {
            return false;
        }
    }
    if (!from_civil(&c, &ms) || (weekday < 7 && weekday != c.weekday))
        return false;
    *wall_ms = ms;
    return true;
}

void clock_rfc3339(uint64_t wall_ms, char out[CLOCK_TEXT])
{
    struct civil c = to_civil(wall_ms);

    snprintf(out, CLOCK_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", c.year % 10000,
             c.month % 100, c.day % 100, c.hour % 100, c.minute % 100,
             c.second % 100);
}

void clock_compact(uint64_t wall_ms, char out[CLOCK_TEXT])
{
    struct civil c = to_civil(wall_ms);

    snprintf(out, CLOCK_TEXT, "%04u%02u%02uT%02u%02u%02uZ", c.year % 10000,
             c.month % 100, c.day % 100, c.hour % 100, c.minute % 100,
             c.second % 100);
}

void clock_xapi(uint64_t wall_ms, char out[CLOCK_TEXT])
{
    struct civil c = to_civil(wall_ms);

    snprintf(out, CLOCK_TEXT, "%04u%02u%02uT%02u:%02u:%02uZ", c.year % 10000,
             c.month % 100, c.day % 100, c.hour % 100, c.minute % 100,
             c.second % 100);
}

void clock_http(uint64_t wall_ms, char out[CLOCK_TEXT])
{
    struct civil c = to_civil(wall_ms);

    snprintf(out, CLOCK_TEXT, "%s, %02u %s %04u %02u:%02u:%02u GMT",
             day_names[c.weekday], c.day % 100, month_names[c.month - 1],
             c.year % 10000, c.hour % 100, c.minute % 100, c.second % 100);
}

bool clock_parse_rfc3339(const char *text, uint64_t *wall_ms)
{
    return read_form(rfc3339, text, wall_ms);
}

bool clock_parse_compact(const char *text, uint64_t *wall_ms)
{
    return read_form(compact, text, wall_ms);
}

bool clock_parse_xapi(const char *text, uint64_t *wall_ms)
{
    return read_form(xapi, text, wall_ms);
}

bool clock_parse_http(const char *text, uint64_t *wall_ms)
{
    return read_form(http, text, wall_ms);
}
