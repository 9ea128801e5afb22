// SPDX-License-Identifier: GPL-2.0
/* No livepatch: a kprobe with a post handler, which takes the function's entry for itself. */
#include <linux/kprobes.h>
#include <linux/module.h>

MODULE_LICENSE("GPL");

static void after(struct kprobe *probe, struct pt_regs *registers, unsigned long flags)
{
}

static struct kprobe probe = { .symbol_name = "estimation_timer", .post_handler = after };

static int __init taken_init(void)
{
	return register_kprobe(&probe);
}

static void __exit taken_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(taken_init);
module_exit(taken_exit);
