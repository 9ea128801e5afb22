// SPDX-License-Identifier: GPL-2.0
/*
 * No livepatch: tasks that keep one from its end. Writing seconds to `nap` sleeps in hold_nap, which est_hold
 * replaces; writing seconds to `spin` starts a kernel thread on the last CPU that does not yield for so long. What is
 * written to `say` is in the kernel's log as a line of its own, as no process can write one.
 */
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/sched.h>

noinline void hold_nap(unsigned int seconds)
{
	schedule_timeout_uninterruptible(seconds * HZ);
	/* No jump at the end: this function is to stay on the stack. */
	barrier();
}

static int spin(void *seconds)
{
	time64_t end = ktime_get_seconds() + (long)seconds;

	while (ktime_get_seconds() < end)
		cpu_relax();
	return 0;
}

static int set_nap(const char *value, const struct kernel_param *parameter)
{
	unsigned int seconds;
	int error = kstrtouint(value, 0, &seconds);

	if (!error)
		hold_nap(seconds);
	return error;
}

static int set_spin(const char *value, const struct kernel_param *parameter)
{
	struct task_struct *task;
	unsigned int seconds;
	int error = kstrtouint(value, 0, &seconds);

	if (error)
		return error;
	task = kthread_create(spin, (void *)(long)seconds, "hold_spin");
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpumask_last(cpu_online_mask));
	wake_up_process(task);
	return 0;
}

static int set_say(const char *value, const struct kernel_param *parameter)
{
	pr_alert("%s", value);
	return 0;
}

static const struct kernel_param_ops nap_ops = { .set = set_nap };
static const struct kernel_param_ops spin_ops = { .set = set_spin };
static const struct kernel_param_ops say_ops = { .set = set_say };
module_param_cb(nap, &nap_ops, NULL, 0200);
module_param_cb(spin, &spin_ops, NULL, 0200);
module_param_cb(say, &say_ops, NULL, 0200);

MODULE_DESCRIPTION("Keeps tasks where a livepatch waits for them, for tests");
MODULE_LICENSE("GPL");
