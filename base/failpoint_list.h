/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/failpoint_list.h - every failpoint, once, one on a line: included with
 * FAILPOINT_NAME defined, so it has no include guard. Add yours in the order
 * of the alphabet.
 */
#ifdef FAILPOINT_NAME
FAILPOINT_NAME("failpoint_test")
FAILPOINT_NAME("failpoint_test_other")
#endif
