use super::programs;
use handover::model::{self, Model, Schedule};

#[test]
fn try_it() {
    let bodies: [(&str, fn(bool)); 6] = [
        ("pool", |m| _ = programs::pool(2, 4, m)),
        ("service", |m| _ = programs::service(2, 2, m)),
        ("philosophers", programs::philosophers),
        ("late", programs::late_answers),
        ("shutdown", |m| programs::shutdown(2, m)),
        ("demands", programs::demands),
    ];
    for (name, body) in bodies {
        let start = std::time::Instant::now();
        match model::check(&Schedule::random(1, 300), || body(false)) {
            Err(failure) => println!("{name}: {failure}\n{}", failure.diagram()),
            Ok(()) => println!("{name} PASSES"),
        }
        println!("{:?}", start.elapsed());
        let start = std::time::Instant::now();
        match model::check(&Schedule::random(1, 3000), || body(true)) {
            Err(failure) => println!("{name} mended: {failure}"),
            Ok(()) => println!(
                "{name} mended passes {:?} {:.0} runs/s",
                start.elapsed(),
                3000.0 / start.elapsed().as_secs_f64()
            ),
        }
        for n in 0..3 {
            let start = std::time::Instant::now();
            match Model::new().exhaust(n, || body(true)) {
                Err(failure) => println!("{name} mended: {failure}"),
                Ok(e) => println!("{name} mended {e:?} {:?}", start.elapsed()),
            }
        }
    }
}
